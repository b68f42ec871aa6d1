"""Changes of one task's status, turn and conversation."""
