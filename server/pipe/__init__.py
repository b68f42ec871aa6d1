"""The pipe: the process that an MCP host starts. Standard library only, because one runs in every window."""
