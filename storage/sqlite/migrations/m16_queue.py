"""Migration 16: a queue that serves principals in turn, and started work first."""

SCRIPT = """
DROP INDEX tasks_queue;
CREATE INDEX tasks_queue ON tasks (principal, started_at IS NULL, queued_at, seq)
    WHERE status = 'pending' AND agent <> 'none';
"""
