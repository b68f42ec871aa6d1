"""Migration 9: tasks that wait, without a run, for their sub-tasks."""

SCRIPT = """
-- What a task that is blocked for its sub-tasks waits for, and until when at most.
CREATE TABLE awaited (
    task INTEGER NOT NULL REFERENCES tasks (seq) ON DELETE CASCADE,
    subtask INTEGER NOT NULL REFERENCES tasks (seq) ON DELETE CASCADE,
    until INTEGER NOT NULL,
    PRIMARY KEY (task, subtask)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaited_subtasks ON awaited (subtask);
CREATE INDEX awaited_until ON awaited (until);
"""
