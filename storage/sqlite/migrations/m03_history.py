"""Step 3: turns in the order of time: the latest of a conversation are found without a look at their texts."""

SCRIPT = """
CREATE INDEX turns_by_time ON turns (task, created_at, number);
"""
