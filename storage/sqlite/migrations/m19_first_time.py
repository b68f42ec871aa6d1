"""Migration 19: the time at which a database is made counts as seen, so that no later time is trusted blindly."""

SCRIPT = """
UPDATE clock SET latest = (SELECT coalesce(max(last_activity_at), unixepoch() * 1000000) FROM tasks) WHERE latest = 0;
"""
