"""The folders that tasks have to themselves."""
