"""Migration 8: the user's folders that tasks work in, directly or through a worktree."""

SCRIPT = """
CREATE TABLE workspaces (
    task INTEGER PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    mode TEXT NOT NULL CHECK (mode IN ('worktree', 'readwrite', 'readonly')),
    path TEXT NOT NULL,
    shared INTEGER NOT NULL,
    owner TEXT NOT NULL CHECK (owner IN ('user', 'task')),
    reaches TEXT NOT NULL CHECK (json_valid(reaches)),
    repository TEXT CHECK (repository IS NULL OR json_valid(repository)),
    -- 'held' from the start of a turn, 'awaited' while others that hold it keep the turn from starting.
    use TEXT CHECK (use IN ('held', 'awaited')),
    -- Of a worktree that is there: 'open' until it was looked at, 'dirty' where something would be lost with it.
    checkout TEXT CHECK (checkout IN ('open', 'clean', 'dirty')),
    outcome TEXT CHECK (outcome IS NULL OR json_valid(outcome))
) STRICT;
CREATE INDEX workspaces_in_use ON workspaces (task) WHERE use IS NOT NULL;
CREATE INDEX workspaces_checked_out ON workspaces (task) WHERE checkout IS NOT NULL;
"""
