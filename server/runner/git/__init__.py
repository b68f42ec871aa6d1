"""Reading of git repositories by the server itself, outside any sandbox."""
