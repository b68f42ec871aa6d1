"""Migration 13: the circumstances of an approval. Earlier grants end, since they recorded none."""

SCRIPT = """
CREATE TABLE circumstances (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    digest TEXT NOT NULL,
    content TEXT NOT NULL CHECK (json_valid(content)),
    -- When a call was approved last under these.
    approved_at INTEGER,
    PRIMARY KEY (task, digest)
) STRICT, WITHOUT ROWID;
ALTER TABLE calls ADD COLUMN circumstances TEXT;
ALTER TABLE calls ADD COLUMN differs TEXT CHECK (differs IS NULL OR json_valid(differs));
ALTER TABLE grants ADD COLUMN circumstances TEXT;
-- What each of the files is known again by that have come with the task's messages, by their paths in uploads/.
ALTER TABLE tasks ADD COLUMN files TEXT CHECK (files IS NULL OR json_valid(files));
UPDATE grants SET revoked_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000000 WHERE revoked_at IS NULL;
"""
