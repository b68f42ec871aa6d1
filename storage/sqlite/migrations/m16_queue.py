"""Step 16: a queue in which the principals take turns, and work that was started goes first."""

SCRIPT = """
DROP INDEX tasks_queue;
CREATE INDEX tasks_queue ON tasks (principal, started_at IS NULL, queued_at, seq)
    WHERE status = 'pending' AND agent <> 'none';
"""
