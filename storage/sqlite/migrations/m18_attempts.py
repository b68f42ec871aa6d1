"""Migration 18: further attempts at an interrupted turn."""

SCRIPT = """
ALTER TABLE turns ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE turns ADD COLUMN attempt_reason TEXT;

-- Calls that the agent does not go by any more: another was, or will be, made in their place.
ALTER TABLE calls ADD COLUMN is_past INTEGER NOT NULL DEFAULT 0 CHECK (is_past IN (0, 1));
"""
