"""Worktrees and branches of tasks, made and read by scripts in the sandbox."""
