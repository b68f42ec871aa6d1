"""The MCP servers that agents use."""
