"""Relations between tasks: dependencies, sub-tasks, and shared folders and secrets."""
