"""The tasks' own folders: their workspaces, uploads and artifacts."""
