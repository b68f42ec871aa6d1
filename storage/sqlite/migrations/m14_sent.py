"""Migration 14: idempotency keys of messages."""

SCRIPT = """
CREATE TABLE sent_messages (
    task INTEGER NOT NULL REFERENCES tasks (seq) ON DELETE CASCADE,
    idempotency_key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (task, idempotency_key)
) STRICT, WITHOUT ROWID;
"""
