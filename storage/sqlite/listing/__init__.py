"""Reading: lists, graphs and progress of tasks."""
