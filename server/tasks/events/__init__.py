"""Output, answers and thoughts of a run, masked, on their way into the task's log."""
