"""Migration 12: secrets of removed tasks, kept for the tasks whose folders may hold their values."""

SCRIPT = """
CREATE TABLE remaining_secrets (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    writer TEXT NOT NULL,
    turn INTEGER NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('literal', 'named')),
    until INTEGER,
    given_up INTEGER NOT NULL,
    PRIMARY KEY (task, writer, turn, name)
) STRICT, WITHOUT ROWID;
"""
