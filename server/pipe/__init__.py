"""The pipe: what an MCP host starts. Standard library only, because one runs in every window."""
