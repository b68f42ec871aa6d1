"""Migration 2: relations of tasks, the indexes of lists, and counters of tasks."""

# Each list scans one of these indexes, newest activity first. `created_at` is included so that a filter by date need
# not read the task itself. Columns that most tasks leave empty have partial indexes.
_LISTS = {
    "activity": ("principal",),
    "status": ("principal", "status"),
    "agent": ("principal", "agent"),
    "span": ("principal", "span"),
    "parent": ("parent",),
    "task_list": ("principal", "task_list"),
    "assigned": ("principal", "assigned_agent"),
    "triggering": ("principal", "triggering_agent"),
    "internal_status": ("principal", "internal_status"),
    "status_agent": ("principal", "status", "agent"),
    "status_task_list": ("principal", "status", "task_list"),
    "status_assigned": ("principal", "status", "assigned_agent"),
    "task_list_assigned": ("principal", "task_list", "assigned_agent"),
}
_OPTIONAL = frozenset({"parent", "task_list", "assigned_agent", "triggering_agent", "internal_status"})

# Filters with counters, alone and in pairs.
_TALLIES = (
    ("status",),
    ("agent",),
    ("task_list",),
    ("assigned_agent",),
    ("triggering_agent",),
    ("internal_status",),
    ("parent",),
    ("root",),
    ("status", "agent"),
    ("status", "task_list"),
    ("status", "assigned_agent"),
    ("task_list", "assigned_agent"),
)
_CHANGING = frozenset({"status", "task_list", "assigned_agent", "internal_status"})


def _index(name: str, columns: tuple[str, ...]) -> str:
    conditions = " AND ".join(f"{column} IS NOT NULL" for column in columns if column in _OPTIONAL)
    where = f" WHERE {conditions}" if conditions else ""
    order = ", ".join((*columns, "last_activity_at DESC", "seq DESC", "created_at"))
    return f"CREATE INDEX tasks_by_{name} ON tasks ({order}){where};"


def _tally(columns: tuple[str, ...]) -> str:
    """Return the triggers that count the tasks for each value of these columns."""
    name = "_".join(columns)
    changes = [column for column in columns if column in _CHANGING]
    changed = " OR ".join(f"old.{column} IS NOT new.{column}" for column in changes)
    triggers = [
        f"CREATE TRIGGER tally_{name}_added AFTER INSERT ON tasks WHEN {_there('new', columns)} BEGIN"
        f" {_count('new', columns)} END;",
        f"CREATE TRIGGER tally_{name}_removed AFTER DELETE ON tasks WHEN {_there('old', columns)} BEGIN"
        f" {_discount('old', columns)} END;",
    ]
    if changes:
        of = f"AFTER UPDATE OF {', '.join(changes)} ON tasks"
        triggers += [
            f"CREATE TRIGGER tally_{name}_left {of} WHEN ({changed}) AND {_there('old', columns)} BEGIN"
            f" {_discount('old', columns)} END;",
            f"CREATE TRIGGER tally_{name}_entered {of} WHEN ({changed}) AND {_there('new', columns)} BEGIN"
            f" {_count('new', columns)} END;",
        ]
    return "\n".join(triggers)


def _there(row: str, columns: tuple[str, ...]) -> str:
    return " AND ".join(f"{row}.{column} IS NOT NULL" for column in columns)


def _values(row: str, columns: tuple[str, ...]) -> tuple[str, str, str, str]:
    first, second = (*(f"CAST({row}.{column} AS TEXT)" for column in columns), "''")[:2]
    return f"'{' '.join(columns)}'", first, second, f"{row}.principal"


def _count(row: str, columns: tuple[str, ...]) -> str:
    return (
        f"INSERT INTO tallies VALUES ({', '.join(_values(row, columns))}, 1)"
        " ON CONFLICT (filter, first, second, principal) DO UPDATE SET n = n + 1;"
    )


def _discount(row: str, columns: tuple[str, ...]) -> str:
    kind, first, second, principal = _values(row, columns)
    where = f"WHERE filter = {kind} AND first = {first} AND second = {second} AND principal = {principal}"
    return f"UPDATE tallies SET n = n - 1 {where}; DELETE FROM tallies {where} AND n = 0;"


def _fill(columns: tuple[str, ...]) -> str:
    names = ", ".join(_values("t", columns))
    return (
        f"INSERT INTO tallies SELECT {names}, count(*) FROM tasks t WHERE {_there('t', columns)} GROUP BY 1, 2, 3, 4;"
    )


_COLUMNS = """
ALTER TABLE tasks ADD COLUMN description TEXT;
ALTER TABLE tasks ADD COLUMN task_list TEXT;
ALTER TABLE tasks ADD COLUMN assigned_agent TEXT;
ALTER TABLE tasks ADD COLUMN triggering_agent TEXT;
ALTER TABLE tasks ADD COLUMN internal_status TEXT;
ALTER TABLE tasks ADD COLUMN source TEXT;
ALTER TABLE tasks ADD COLUMN parent INTEGER REFERENCES tasks;
ALTER TABLE tasks ADD COLUMN root INTEGER;
ALTER TABLE tasks ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN progress REAL;
ALTER TABLE tasks ADD COLUMN progress_message TEXT;
ALTER TABLE tasks ADD COLUMN blocked_at INTEGER;
ALTER TABLE tasks ADD COLUMN on_dependency_failure TEXT NOT NULL DEFAULT 'fail'
    CHECK (on_dependency_failure IN ('fail', 'continue'));
ALTER TABLE tasks ADD COLUMN open_dependencies INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN max_calls INTEGER;
ALTER TABLE tasks ADD COLUMN calls_left INTEGER;
-- How long it has been active, in steps of sixteen: what was created before some date and active after it is found
-- step by step, without a look at everything newer.
ALTER TABLE tasks ADD COLUMN span INTEGER GENERATED ALWAYS AS (CASE
    WHEN last_activity_at - created_at <= 64000000 THEN 0
    WHEN last_activity_at - created_at <= 1024000000 THEN 1
    WHEN last_activity_at - created_at <= 16384000000 THEN 2
    WHEN last_activity_at - created_at <= 262144000000 THEN 3
    ELSE 4 END) VIRTUAL;

ALTER TABLE turns ADD COLUMN thoughts TEXT CHECK (thoughts IS NULL OR json_valid(thoughts));

ALTER TABLE conversations ADD COLUMN message_count INTEGER NOT NULL DEFAULT 0;
UPDATE conversations SET message_count = (SELECT coalesce(sum(t.message_count), 0) FROM tasks t
    WHERE t.conversation = conversations.id AND t.show_in_history);

-- A task waits for what it depends on until that has been satisfied once.
CREATE TABLE dependencies (
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    needs INTEGER NOT NULL REFERENCES tasks,
    satisfied INTEGER NOT NULL,
    PRIMARY KEY (task, needs)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependants ON dependencies (needs, satisfied, task);

-- Ends of tasks that their dependants have still to be told of, so that a crash in the middle forgets none.
CREATE TABLE propagations (
    task INTEGER NOT NULL PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    ended TEXT NOT NULL,
    origin TEXT NOT NULL,
    origin_ended TEXT NOT NULL,
    reached INTEGER NOT NULL
) STRICT;

CREATE VIRTUAL TABLE task_words USING fts5 (title, message, content = 'tasks', content_rowid = 'seq');
CREATE TRIGGER words_added AFTER INSERT ON tasks BEGIN
    INSERT INTO task_words (rowid, title, message) VALUES (new.seq, new.title, new.message);
END;
CREATE TRIGGER words_removed AFTER DELETE ON tasks BEGIN
    INSERT INTO task_words (task_words, rowid, title, message) VALUES ('delete', old.seq, old.title, old.message);
END;
CREATE TRIGGER words_changed AFTER UPDATE OF title ON tasks WHEN old.title IS NOT new.title BEGIN
    INSERT INTO task_words (task_words, rowid, title, message) VALUES ('delete', old.seq, old.title, old.message);
    INSERT INTO task_words (rowid, title, message) VALUES (new.seq, new.title, new.message);
END;
INSERT INTO task_words (task_words) VALUES ('rebuild');

DROP INDEX tasks_by_activity;
DROP INDEX tasks_by_status;
DROP INDEX tasks_running;
DROP INDEX tasks_queue;
-- A task of no agent is a record that others work on: it is never claimed.
CREATE INDEX tasks_queue ON tasks (queued_at, seq) WHERE status = 'pending' AND agent <> 'none';
CREATE INDEX tasks_ended ON tasks (completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX tasks_of_root ON tasks (root, seq) WHERE root IS NOT NULL;

DROP TRIGGER task_counted;
DROP TRIGGER task_moved;
DROP TRIGGER task_uncounted;
DROP TABLE task_counts;
CREATE TABLE tallies (
    filter TEXT NOT NULL,
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    principal TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (filter, first, second, principal)
) STRICT, WITHOUT ROWID;
"""

SCRIPT = "\n".join(
    (
        _COLUMNS,
        *(_index(name, columns) for name, columns in _LISTS.items()),
        *map(_fill, _TALLIES),
        *map(_tally, _TALLIES),
    )
)
