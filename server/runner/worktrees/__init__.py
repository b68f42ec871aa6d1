"""Worktrees and branches of tasks, handled by scripts in the sandbox."""
