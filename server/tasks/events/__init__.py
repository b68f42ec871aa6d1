"""What a run says, masked, on its way into the task's log."""
