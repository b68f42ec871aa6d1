"""What is kept: tasks and everything that belongs to them, in SQLite."""
