"""The folders that tasks work in: selection, worktrees, files and removal."""
