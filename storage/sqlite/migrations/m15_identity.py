"""Migration 15: an id of the database, also written into its tasks' folders, and the folders to be deleted."""

SCRIPT = """
CREATE TABLE identity (id TEXT NOT NULL) STRICT;
INSERT INTO identity VALUES (lower(hex(randomblob(16))));

-- Tasks that are gone, or have given up their folder, for as long as the folder may still be there.
CREATE TABLE removals (task TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
"""
