"""The forms that texts must have: as patterns for pydantic, and in words."""

NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""Of a variable, and of a secret in the settings."""

MCP_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,31}$"
KEYRING_ENTRY = r"^[^/]+/.+$"
MODEL = r"^[a-z0-9_-]+:.+$"

FORMS = {
    NAME: "a variable's name: letters, digits and _, and no digit first",
    MCP_NAME: "a name of at most 32 letters, digits, - and _, and a letter first",
    KEYRING_ENTRY: "SERVICE/USER",
    MODEL: 'PROVIDER:NAME, the provider in lower case, as "openai:gpt-5"',
}
"""What a text of each pattern is."""
