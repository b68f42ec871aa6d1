"""Migration 17: the last trusted time, and places in the queue that do not depend on the time of day."""

SCRIPT = """
-- Of a new database it is 0 here; step 19 puts the time in that it is made at.
CREATE TABLE clock (
    latest INTEGER NOT NULL,
    -- Microseconds for which servers have run while the time was too far past the latest one.
    doubted_us INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO clock (latest) SELECT coalesce(max(last_activity_at), 0) FROM tasks;

-- The places given out so far; each new one is the next number. So far they were times, in microseconds.
CREATE TABLE queue (latest INTEGER NOT NULL) STRICT;
INSERT INTO queue SELECT coalesce(max(queued_at), 0) FROM tasks;
ALTER TABLE tasks RENAME COLUMN queued_at TO queue_place;
"""
