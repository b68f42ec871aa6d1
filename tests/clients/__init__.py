"""MCP clients that nobody here wrote, each driven over real stdio."""
