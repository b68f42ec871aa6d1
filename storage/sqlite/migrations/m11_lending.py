"""Step 11: open sub-tasks that agents have made are found beside all that have ended."""

SCRIPT = """
CREATE INDEX tasks_made_open ON tasks (parent) WHERE completed_at IS NULL AND source = 'agent';
"""
