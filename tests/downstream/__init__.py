"""MCP servers for tasks to use, as somebody else would run them."""
