-- All 21 migrations added up, for who reads it; `make schema` writes it.

CREATE TABLE awaited (
    task INTEGER NOT NULL REFERENCES tasks (seq) ON DELETE CASCADE,
    subtask INTEGER NOT NULL REFERENCES tasks (seq) ON DELETE CASCADE,
    until INTEGER NOT NULL,
    PRIMARY KEY (task, subtask)
) STRICT, WITHOUT ROWID;

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
    circumstances TEXT,
    differs TEXT CHECK (differs IS NULL OR json_valid(differs)),
    is_past INTEGER NOT NULL DEFAULT 0 CHECK (is_past IN (0, 1)),
    UNIQUE (task, turn, key),
    UNIQUE (task, turn, position)
) STRICT;

CREATE TABLE circumstances (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    digest TEXT NOT NULL,
    content TEXT NOT NULL CHECK (json_valid(content)),
    -- When a call was approved last under these.
    approved_at INTEGER,
    PRIMARY KEY (task, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE clock (
    latest INTEGER NOT NULL,
    -- Microseconds for which servers have run while the time was too far past the latest one.
    doubted_us INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    principal TEXT NOT NULL REFERENCES principals,
    created_at INTEGER NOT NULL,
    message_count INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE dependencies (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    needs INTEGER NOT NULL REFERENCES tasks,
    satisfied INTEGER NOT NULL,
    PRIMARY KEY (task, needs)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL CHECK (json_valid(data)),
    PRIMARY KEY (task, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE folders (
    path TEXT PRIMARY KEY,
    protected TEXT NOT NULL CHECK (json_valid(protected))
) STRICT;

CREATE TABLE given_up_secrets (
    task INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (task, turn, name),
    FOREIGN KEY (task, turn) REFERENCES turns ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    tool_name TEXT NOT NULL,
    description TEXT NOT NULL,
    keys TEXT NOT NULL CHECK (json_valid(keys)),
    granted_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    circumstances TEXT) STRICT;

CREATE TABLE identity (id TEXT NOT NULL) STRICT;

CREATE TABLE principals (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE propagations (
    task INTEGER NOT NULL PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    ended TEXT NOT NULL,
    origin TEXT NOT NULL,
    origin_ended TEXT NOT NULL,
    reached INTEGER NOT NULL
) STRICT;

CREATE TABLE queue (latest INTEGER NOT NULL) STRICT;

CREATE TABLE remaining_secrets (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    writer TEXT NOT NULL,
    turn INTEGER NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('literal', 'named')),
    until INTEGER,
    given_up INTEGER NOT NULL,
    PRIMARY KEY (task, writer, turn, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE removals (task TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE retired_numbers (highest INTEGER NOT NULL) STRICT;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    turn INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    owner TEXT NOT NULL,
    processes TEXT CHECK (processes IS NULL OR json_valid(processes)),
    outcome TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    bound INTEGER NOT NULL DEFAULT 0,
    UNIQUE (task, fence)
) STRICT;

CREATE TABLE secret_names (
    task INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    name TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('literal', 'named')),
    PRIMARY KEY (task, turn, name),
    FOREIGN KEY (task, turn) REFERENCES turns ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE sent_messages (
    task INTEGER NOT NULL REFERENCES tasks (seq) ON DELETE CASCADE,
    idempotency_key TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (task, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tallies (
    filter TEXT NOT NULL,
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    principal TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (filter, first, second, principal)
) STRICT, WITHOUT ROWID;

CREATE VIRTUAL TABLE task_words USING fts5 (title, message, content = 'tasks', content_rowid = 'seq');

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
    queue_place INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    updated_at INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    description TEXT,
    task_list TEXT,
    assigned_agent TEXT,
    triggering_agent TEXT,
    internal_status TEXT,
    source TEXT,
    parent INTEGER REFERENCES tasks,
    root INTEGER,
    depth INTEGER NOT NULL DEFAULT 0,
    progress REAL,
    progress_message TEXT,
    blocked_at INTEGER,
    on_dependency_failure TEXT NOT NULL DEFAULT 'fail'
    CHECK (on_dependency_failure IN ('fail', 'continue')),
    open_dependencies INTEGER NOT NULL DEFAULT 0,
    max_calls INTEGER,
    calls_left INTEGER,
    span INTEGER GENERATED ALWAYS AS (CASE
    WHEN last_activity_at - created_at <= 64000000 THEN 0
    WHEN last_activity_at - created_at <= 1024000000 THEN 1
    WHEN last_activity_at - created_at <= 16384000000 THEN 2
    WHEN last_activity_at - created_at <= 262144000000 THEN 3
    WHEN last_activity_at - created_at <= 4194304000000 THEN 4
    WHEN last_activity_at - created_at <= 67108864000000 THEN 5
    ELSE 6 END) VIRTUAL,
    log_removed_at INTEGER,
    workspace_removed_at INTEGER,
    kept_output INTEGER NOT NULL DEFAULT 0,
    files TEXT CHECK (files IS NULL OR json_valid(files))) STRICT;

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
    thoughts TEXT CHECK (thoughts IS NULL OR json_valid(thoughts)),
    state TEXT CHECK (state IS NULL OR json_valid(state)),
    requests INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 1,
    attempt_reason TEXT,
    PRIMARY KEY (task, number)
) STRICT;

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

CREATE INDEX awaited_subtasks ON awaited (subtask);

CREATE INDEX awaited_until ON awaited (until);

CREATE INDEX calls_awaiting ON calls (task) WHERE status = 'awaiting_approval';

CREATE INDEX calls_expiring ON calls (expires_at) WHERE status = 'awaiting_approval' AND expires_at IS NOT NULL;

CREATE INDEX dependants ON dependencies (needs, satisfied, task);

CREATE INDEX grants_of_session ON grants (session, tool_name);

CREATE INDEX runs_open ON runs (id) WHERE ended_at IS NULL;

CREATE INDEX sessions_of_conversation ON sessions (conversation, expires_at);

CREATE INDEX tasks_by_activity ON tasks (principal, span, last_activity_at DESC, seq DESC, created_at);

CREATE INDEX tasks_by_agent ON tasks (principal, agent, span, last_activity_at DESC, seq DESC, created_at);

CREATE INDEX tasks_by_assigned ON tasks (principal, assigned_agent, span, last_activity_at DESC, seq DESC, created_at) WHERE assigned_agent IS NOT NULL;

CREATE INDEX tasks_by_creation ON tasks
    (principal, created_at, last_activity_at, status, agent, task_list, assigned_agent);

CREATE INDEX tasks_by_internal_status ON tasks (principal, internal_status, span, last_activity_at DESC, seq DESC, created_at) WHERE internal_status IS NOT NULL;

CREATE INDEX tasks_by_parent ON tasks (parent, last_activity_at DESC, seq DESC, created_at) WHERE parent IS NOT NULL;

CREATE INDEX tasks_by_status ON tasks (principal, status, span, last_activity_at DESC, seq DESC, created_at);

CREATE INDEX tasks_by_status_agent ON tasks (principal, status, agent, span, last_activity_at DESC, seq DESC, created_at);

CREATE INDEX tasks_by_status_assigned ON tasks (principal, status, assigned_agent, span, last_activity_at DESC, seq DESC, created_at) WHERE assigned_agent IS NOT NULL;

CREATE INDEX tasks_by_status_task_list ON tasks (principal, status, task_list, span, last_activity_at DESC, seq DESC, created_at) WHERE task_list IS NOT NULL;

CREATE INDEX tasks_by_task_list ON tasks (principal, task_list, span, last_activity_at DESC, seq DESC, created_at) WHERE task_list IS NOT NULL;

CREATE INDEX tasks_by_task_list_assigned ON tasks (principal, task_list, assigned_agent, span, last_activity_at DESC, seq DESC, created_at) WHERE task_list IS NOT NULL AND assigned_agent IS NOT NULL;

CREATE INDEX tasks_by_triggering ON tasks (principal, triggering_agent, span, last_activity_at DESC, seq DESC, created_at) WHERE triggering_agent IS NOT NULL;

CREATE INDEX tasks_conversation ON tasks (conversation);

CREATE INDEX tasks_ended ON tasks (completed_at) WHERE completed_at IS NOT NULL;

CREATE UNIQUE INDEX tasks_idempotent ON tasks (principal, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX tasks_made_open ON tasks (parent) WHERE completed_at IS NULL AND source = 'agent';

CREATE INDEX tasks_queue ON tasks (principal, started_at IS NULL, queue_place, seq)
    WHERE status = 'pending' AND agent <> 'none';

CREATE INDEX tasks_session ON tasks (session);

CREATE INDEX tasks_with_log ON tasks (completed_at) WHERE completed_at > coalesce(log_removed_at, 0);

CREATE INDEX tasks_with_workspace ON tasks (completed_at)
    WHERE completed_at > coalesce(workspace_removed_at, 0) AND agent <> 'none';

CREATE INDEX turns_by_time ON turns (task, created_at, number);

CREATE INDEX workspaces_checked_out ON workspaces (task) WHERE checkout IS NOT NULL;

CREATE INDEX workspaces_in_use ON workspaces (task) WHERE use IS NOT NULL;

CREATE TRIGGER number_retired AFTER DELETE ON tasks WHEN old.seq > (SELECT highest FROM retired_numbers) BEGIN
    UPDATE retired_numbers SET highest = old.seq;
END;

CREATE TRIGGER tally_agent_added AFTER INSERT ON tasks WHEN new.agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('agent', CAST(new.agent AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_agent_removed AFTER DELETE ON tasks WHEN old.agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'agent' AND first = CAST(old.agent AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'agent' AND first = CAST(old.agent AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_assigned_agent_added AFTER INSERT ON tasks WHEN new.assigned_agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('assigned_agent', CAST(new.assigned_agent AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_assigned_agent_entered AFTER UPDATE OF assigned_agent ON tasks WHEN (old.assigned_agent IS NOT new.assigned_agent) AND new.assigned_agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('assigned_agent', CAST(new.assigned_agent AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_assigned_agent_left AFTER UPDATE OF assigned_agent ON tasks WHEN (old.assigned_agent IS NOT new.assigned_agent) AND old.assigned_agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'assigned_agent' AND first = CAST(old.assigned_agent AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'assigned_agent' AND first = CAST(old.assigned_agent AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_assigned_agent_removed AFTER DELETE ON tasks WHEN old.assigned_agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'assigned_agent' AND first = CAST(old.assigned_agent AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'assigned_agent' AND first = CAST(old.assigned_agent AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_internal_status_added AFTER INSERT ON tasks WHEN new.internal_status IS NOT NULL BEGIN INSERT INTO tallies VALUES ('internal_status', CAST(new.internal_status AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_internal_status_entered AFTER UPDATE OF internal_status ON tasks WHEN (old.internal_status IS NOT new.internal_status) AND new.internal_status IS NOT NULL BEGIN INSERT INTO tallies VALUES ('internal_status', CAST(new.internal_status AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_internal_status_left AFTER UPDATE OF internal_status ON tasks WHEN (old.internal_status IS NOT new.internal_status) AND old.internal_status IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'internal_status' AND first = CAST(old.internal_status AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'internal_status' AND first = CAST(old.internal_status AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_internal_status_removed AFTER DELETE ON tasks WHEN old.internal_status IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'internal_status' AND first = CAST(old.internal_status AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'internal_status' AND first = CAST(old.internal_status AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_parent_added AFTER INSERT ON tasks WHEN new.parent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('parent', CAST(new.parent AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_parent_left AFTER UPDATE OF parent ON tasks
WHEN old.parent IS NOT new.parent AND old.parent IS NOT NULL BEGIN
    UPDATE tallies SET n = n - 1 WHERE filter = 'parent' AND first = CAST(old.parent AS TEXT) AND second = ''
        AND principal = old.principal;
    DELETE FROM tallies WHERE filter = 'parent' AND first = CAST(old.parent AS TEXT) AND second = ''
        AND principal = old.principal AND n = 0;
END;

CREATE TRIGGER tally_parent_removed AFTER DELETE ON tasks WHEN old.parent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'parent' AND first = CAST(old.parent AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'parent' AND first = CAST(old.parent AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_root_added AFTER INSERT ON tasks WHEN new.root IS NOT NULL BEGIN INSERT INTO tallies VALUES ('root', CAST(new.root AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_root_removed AFTER DELETE ON tasks WHEN old.root IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'root' AND first = CAST(old.root AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'root' AND first = CAST(old.root AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_status_added AFTER INSERT ON tasks WHEN new.status IS NOT NULL BEGIN INSERT INTO tallies VALUES ('status', CAST(new.status AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_status_agent_added AFTER INSERT ON tasks WHEN new.status IS NOT NULL AND new.agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('status agent', CAST(new.status AS TEXT), CAST(new.agent AS TEXT), new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_status_agent_entered AFTER UPDATE OF status ON tasks WHEN (old.status IS NOT new.status) AND new.status IS NOT NULL AND new.agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('status agent', CAST(new.status AS TEXT), CAST(new.agent AS TEXT), new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_status_agent_left AFTER UPDATE OF status ON tasks WHEN (old.status IS NOT new.status) AND old.status IS NOT NULL AND old.agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'status agent' AND first = CAST(old.status AS TEXT) AND second = CAST(old.agent AS TEXT) AND principal = old.principal; DELETE FROM tallies WHERE filter = 'status agent' AND first = CAST(old.status AS TEXT) AND second = CAST(old.agent AS TEXT) AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_status_agent_removed AFTER DELETE ON tasks WHEN old.status IS NOT NULL AND old.agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'status agent' AND first = CAST(old.status AS TEXT) AND second = CAST(old.agent AS TEXT) AND principal = old.principal; DELETE FROM tallies WHERE filter = 'status agent' AND first = CAST(old.status AS TEXT) AND second = CAST(old.agent AS TEXT) AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_status_assigned_agent_added AFTER INSERT ON tasks WHEN new.status IS NOT NULL AND new.assigned_agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('status assigned_agent', CAST(new.status AS TEXT), CAST(new.assigned_agent AS TEXT), new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_status_assigned_agent_entered AFTER UPDATE OF status, assigned_agent ON tasks WHEN (old.status IS NOT new.status OR old.assigned_agent IS NOT new.assigned_agent) AND new.status IS NOT NULL AND new.assigned_agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('status assigned_agent', CAST(new.status AS TEXT), CAST(new.assigned_agent AS TEXT), new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_status_assigned_agent_left AFTER UPDATE OF status, assigned_agent ON tasks WHEN (old.status IS NOT new.status OR old.assigned_agent IS NOT new.assigned_agent) AND old.status IS NOT NULL AND old.assigned_agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'status assigned_agent' AND first = CAST(old.status AS TEXT) AND second = CAST(old.assigned_agent AS TEXT) AND principal = old.principal; DELETE FROM tallies WHERE filter = 'status assigned_agent' AND first = CAST(old.status AS TEXT) AND second = CAST(old.assigned_agent AS TEXT) AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_status_assigned_agent_removed AFTER DELETE ON tasks WHEN old.status IS NOT NULL AND old.assigned_agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'status assigned_agent' AND first = CAST(old.status AS TEXT) AND second = CAST(old.assigned_agent AS TEXT) AND principal = old.principal; DELETE FROM tallies WHERE filter = 'status assigned_agent' AND first = CAST(old.status AS TEXT) AND second = CAST(old.assigned_agent AS TEXT) AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_status_entered AFTER UPDATE OF status ON tasks WHEN (old.status IS NOT new.status) AND new.status IS NOT NULL BEGIN INSERT INTO tallies VALUES ('status', CAST(new.status AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_status_left AFTER UPDATE OF status ON tasks WHEN (old.status IS NOT new.status) AND old.status IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'status' AND first = CAST(old.status AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'status' AND first = CAST(old.status AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_status_removed AFTER DELETE ON tasks WHEN old.status IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'status' AND first = CAST(old.status AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'status' AND first = CAST(old.status AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_status_task_list_added AFTER INSERT ON tasks WHEN new.status IS NOT NULL AND new.task_list IS NOT NULL BEGIN INSERT INTO tallies VALUES ('status task_list', CAST(new.status AS TEXT), CAST(new.task_list AS TEXT), new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_status_task_list_entered AFTER UPDATE OF status, task_list ON tasks WHEN (old.status IS NOT new.status OR old.task_list IS NOT new.task_list) AND new.status IS NOT NULL AND new.task_list IS NOT NULL BEGIN INSERT INTO tallies VALUES ('status task_list', CAST(new.status AS TEXT), CAST(new.task_list AS TEXT), new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_status_task_list_left AFTER UPDATE OF status, task_list ON tasks WHEN (old.status IS NOT new.status OR old.task_list IS NOT new.task_list) AND old.status IS NOT NULL AND old.task_list IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'status task_list' AND first = CAST(old.status AS TEXT) AND second = CAST(old.task_list AS TEXT) AND principal = old.principal; DELETE FROM tallies WHERE filter = 'status task_list' AND first = CAST(old.status AS TEXT) AND second = CAST(old.task_list AS TEXT) AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_status_task_list_removed AFTER DELETE ON tasks WHEN old.status IS NOT NULL AND old.task_list IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'status task_list' AND first = CAST(old.status AS TEXT) AND second = CAST(old.task_list AS TEXT) AND principal = old.principal; DELETE FROM tallies WHERE filter = 'status task_list' AND first = CAST(old.status AS TEXT) AND second = CAST(old.task_list AS TEXT) AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_task_list_added AFTER INSERT ON tasks WHEN new.task_list IS NOT NULL BEGIN INSERT INTO tallies VALUES ('task_list', CAST(new.task_list AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_task_list_assigned_agent_added AFTER INSERT ON tasks WHEN new.task_list IS NOT NULL AND new.assigned_agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('task_list assigned_agent', CAST(new.task_list AS TEXT), CAST(new.assigned_agent AS TEXT), new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_task_list_assigned_agent_entered AFTER UPDATE OF task_list, assigned_agent ON tasks WHEN (old.task_list IS NOT new.task_list OR old.assigned_agent IS NOT new.assigned_agent) AND new.task_list IS NOT NULL AND new.assigned_agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('task_list assigned_agent', CAST(new.task_list AS TEXT), CAST(new.assigned_agent AS TEXT), new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_task_list_assigned_agent_left AFTER UPDATE OF task_list, assigned_agent ON tasks WHEN (old.task_list IS NOT new.task_list OR old.assigned_agent IS NOT new.assigned_agent) AND old.task_list IS NOT NULL AND old.assigned_agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'task_list assigned_agent' AND first = CAST(old.task_list AS TEXT) AND second = CAST(old.assigned_agent AS TEXT) AND principal = old.principal; DELETE FROM tallies WHERE filter = 'task_list assigned_agent' AND first = CAST(old.task_list AS TEXT) AND second = CAST(old.assigned_agent AS TEXT) AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_task_list_assigned_agent_removed AFTER DELETE ON tasks WHEN old.task_list IS NOT NULL AND old.assigned_agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'task_list assigned_agent' AND first = CAST(old.task_list AS TEXT) AND second = CAST(old.assigned_agent AS TEXT) AND principal = old.principal; DELETE FROM tallies WHERE filter = 'task_list assigned_agent' AND first = CAST(old.task_list AS TEXT) AND second = CAST(old.assigned_agent AS TEXT) AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_task_list_entered AFTER UPDATE OF task_list ON tasks WHEN (old.task_list IS NOT new.task_list) AND new.task_list IS NOT NULL BEGIN INSERT INTO tallies VALUES ('task_list', CAST(new.task_list AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_task_list_left AFTER UPDATE OF task_list ON tasks WHEN (old.task_list IS NOT new.task_list) AND old.task_list IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'task_list' AND first = CAST(old.task_list AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'task_list' AND first = CAST(old.task_list AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_task_list_removed AFTER DELETE ON tasks WHEN old.task_list IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'task_list' AND first = CAST(old.task_list AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'task_list' AND first = CAST(old.task_list AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER tally_triggering_agent_added AFTER INSERT ON tasks WHEN new.triggering_agent IS NOT NULL BEGIN INSERT INTO tallies VALUES ('triggering_agent', CAST(new.triggering_agent AS TEXT), '', new.principal, 1) ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1; END;

CREATE TRIGGER tally_triggering_agent_removed AFTER DELETE ON tasks WHEN old.triggering_agent IS NOT NULL BEGIN UPDATE tallies SET n = n - 1 WHERE filter = 'triggering_agent' AND first = CAST(old.triggering_agent AS TEXT) AND second = '' AND principal = old.principal; DELETE FROM tallies WHERE filter = 'triggering_agent' AND first = CAST(old.triggering_agent AS TEXT) AND second = '' AND principal = old.principal AND n = 0; END;

CREATE TRIGGER words_added AFTER INSERT ON tasks BEGIN
    INSERT INTO task_words (rowid, title, message) VALUES (new.seq, new.title, new.message);
END;

CREATE TRIGGER words_changed AFTER UPDATE OF title ON tasks WHEN old.title IS NOT new.title BEGIN
    INSERT INTO task_words (task_words, rowid, title, message) VALUES ('delete', old.seq, old.title, old.message);
    INSERT INTO task_words (rowid, title, message) VALUES (new.seq, new.title, new.message);
END;

CREATE TRIGGER words_removed AFTER DELETE ON tasks BEGIN
    INSERT INTO task_words (task_words, rowid, title, message) VALUES ('delete', old.seq, old.title, old.message);
END;
