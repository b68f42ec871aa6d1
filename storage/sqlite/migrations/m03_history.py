"""Migration 3: an index of turns by time, to find a conversation's latest without reading their texts."""

SCRIPT = """
CREATE INDEX turns_by_time ON turns (task, created_at, number);
"""
