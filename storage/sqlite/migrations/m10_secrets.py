"""Migration 10: secrets that a turn had, and continues without."""

SCRIPT = """
CREATE TABLE given_up_secrets (
    task INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (task, turn, name),
    FOREIGN KEY (task, turn) REFERENCES turns ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
"""
