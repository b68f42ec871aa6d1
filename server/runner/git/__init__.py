"""Git repositories as the server itself reads them, outside any sandbox."""
