"""Migration 1: tasks with their turns, runs, calls and events."""

SCRIPT = """
CREATE TABLE principals (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    principal TEXT NOT NULL REFERENCES principals,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of_conversation ON sessions (conversation, expires_at);

CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    tool_name TEXT NOT NULL,
    description TEXT NOT NULL,
    keys TEXT NOT NULL CHECK (json_valid(keys)),
    granted_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX grants_of_session ON grants (session, tool_name) WHERE revoked_at IS NULL;

CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    principal TEXT NOT NULL REFERENCES principals,
    conversation TEXT NOT NULL REFERENCES conversations,
    session TEXT NOT NULL REFERENCES sessions,
    agent TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN
        ('pending', 'blocked', 'running', 'awaiting_approval', 'paused', 'completed', 'failed', 'cancelled')),
    title TEXT,
    message TEXT NOT NULL,
    system_prompt TEXT,
    show_in_history INTEGER NOT NULL,
    auto_execute INTEGER NOT NULL,
    env TEXT CHECK (env IS NULL OR json_valid(env)),
    metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    demands TEXT CHECK (demands IS NULL OR json_valid(demands)),
    sandbox TEXT,
    timeout_seconds INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    blocked_reason TEXT,
    error_code TEXT,
    error TEXT,
    turn INTEGER NOT NULL DEFAULT 1,
    message_count INTEGER NOT NULL DEFAULT 1,
    last_event INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    idempotency_key TEXT,
    request_digest TEXT NOT NULL,
    queued_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    updated_at INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tasks_idempotent ON tasks (principal, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_by_activity ON tasks (principal, last_activity_at DESC, seq DESC);
CREATE INDEX tasks_by_status ON tasks (principal, status, last_activity_at DESC, seq DESC);
CREATE INDEX tasks_queue ON tasks (queued_at, seq) WHERE status = 'pending';
CREATE INDEX tasks_running ON tasks (seq) WHERE status = 'running';
CREATE INDEX tasks_conversation ON tasks (conversation);
CREATE INDEX tasks_session ON tasks (session);

CREATE TABLE task_counts (
    principal TEXT NOT NULL,
    status TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (principal, status)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER task_counted AFTER INSERT ON tasks BEGIN
    INSERT INTO task_counts VALUES (new.principal, new.status, 1)
        ON CONFLICT (principal, status) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER task_moved AFTER UPDATE OF status ON tasks WHEN old.status <> new.status BEGIN
    UPDATE task_counts SET n = n - 1 WHERE principal = old.principal AND status = old.status;
    INSERT INTO task_counts VALUES (new.principal, new.status, 1)
        ON CONFLICT (principal, status) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER task_uncounted AFTER DELETE ON tasks BEGIN
    UPDATE task_counts SET n = n - 1 WHERE principal = old.principal AND status = old.status;
END;

CREATE TABLE turns (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    number INTEGER NOT NULL,
    message TEXT NOT NULL,
    first_event INTEGER NOT NULL,
    content TEXT,
    content_at INTEGER,
    status TEXT,
    ran_us INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (task, number)
) STRICT;

CREATE TABLE secret_names (
    task INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('literal', 'named')),
    PRIMARY KEY (task, turn, name),
    FOREIGN KEY (task, turn) REFERENCES turns ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    turn INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    owner TEXT NOT NULL,
    process TEXT CHECK (process IS NULL OR json_valid(process)),
    outcome TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    UNIQUE (task, fence)
) STRICT;
CREATE INDEX runs_open ON runs (id) WHERE ended_at IS NULL;

CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    turn INTEGER NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    tool_name TEXT NOT NULL,
    args TEXT NOT NULL CHECK (json_valid(args)),
    digest TEXT NOT NULL,
    similar TEXT NOT NULL CHECK (json_valid(similar)),
    description TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN
        ('pending', 'awaiting_approval', 'executing', 'success', 'error', 'cancelled')),
    output TEXT,
    dropped INTEGER NOT NULL DEFAULT 0,
    exit_status INTEGER,
    ran_us INTEGER,
    requested_at INTEGER,
    expires_at INTEGER,
    outcome TEXT,
    decided_by TEXT,
    decided_at INTEGER,
    reason TEXT,
    UNIQUE (task, turn, key),
    UNIQUE (task, turn, position)
) STRICT;
CREATE INDEX calls_awaiting ON calls (task) WHERE status = 'awaiting_approval';
CREATE INDEX calls_expiring ON calls (expires_at) WHERE status = 'awaiting_approval' AND expires_at IS NOT NULL;

CREATE TABLE events (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL CHECK (json_valid(data)),
    PRIMARY KEY (task, number)
) STRICT, WITHOUT ROWID;
"""
