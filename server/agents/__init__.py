"""Who does the work of a task."""
