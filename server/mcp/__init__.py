"""The MCP interface."""
