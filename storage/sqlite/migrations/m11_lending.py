"""Migration 11: an index of the open sub-tasks created by agents."""

SCRIPT = """
CREATE INDEX tasks_made_open ON tasks (parent) WHERE completed_at IS NULL AND source = 'agent';
"""
