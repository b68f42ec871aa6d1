"""Migration 6: what was removed of ended tasks, and how much output a task has kept."""

# Each of the two lists holds what retention has still to look at: what was removed after the latest end is not in it.
SCRIPT = """
ALTER TABLE tasks ADD COLUMN log_removed_at INTEGER;
ALTER TABLE tasks ADD COLUMN workspace_removed_at INTEGER;
ALTER TABLE tasks ADD COLUMN kept_output INTEGER NOT NULL DEFAULT 0;
UPDATE tasks SET kept_output = (SELECT coalesce(sum(length(output)), 0) FROM calls WHERE calls.task = tasks.seq);

CREATE INDEX tasks_with_log ON tasks (completed_at) WHERE completed_at > coalesce(log_removed_at, 0);
CREATE INDEX tasks_with_workspace ON tasks (completed_at)
    WHERE completed_at > coalesce(workspace_removed_at, 0) AND agent <> 'none';

-- What is revoked goes with its session, too: without the whole index, each removal would look through all grants.
DROP INDEX grants_of_session;
CREATE INDEX grants_of_session ON grants (session, tool_name);
"""
