"""Regular expressions for names and references, with their descriptions in words."""

NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""The name of a variable, or of a secret in the settings."""

MCP_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,31}$"
KEYRING_ENTRY = r"^[^/]+/.+$"
MODEL = r"^[a-z0-9_-]+:.+$"

FORMS = {
    NAME: "a variable's name: letters, digits and _, and no digit first",
    MCP_NAME: "a name of at most 32 letters, digits, - and _, and a letter first",
    KEYRING_ENTRY: "SERVICE/USER",
    MODEL: 'PROVIDER:NAME, the provider in lower case, as "openai:gpt-5"',
}
"""A description of each pattern."""
