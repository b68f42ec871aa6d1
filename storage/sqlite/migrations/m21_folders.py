"""Migration 21: what was protected first in each user's folder, for as long as the database lives.

A task's own record of it goes with the task, and one of a later task may name what an earlier one made.
"""

SCRIPT = """
CREATE TABLE folders (
    path TEXT PRIMARY KEY,
    protected TEXT NOT NULL CHECK (json_valid(protected))
) STRICT;
"""
