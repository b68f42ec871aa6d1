"""Migration 5: activity buckets in every list index, so that lists by date skip few tasks."""

# The upper ends of the activity buckets but the last (column `span`), in seconds: each sixteen times the one before,
# the last about two years.
ENDS = (64, 1_024, 16_384, 262_144, 4_194_304, 67_108_864)

# Each list merges one scan per bucket, newest activity first: tasks created before some date and active after it are
# near that date in every bucket but the last. Columns that most tasks leave empty have partial indexes.
_LISTS = {
    "activity": ("principal",),
    "status": ("principal", "status"),
    "agent": ("principal", "agent"),
    "task_list": ("principal", "task_list"),
    "assigned": ("principal", "assigned_agent"),
    "triggering": ("principal", "triggering_agent"),
    "internal_status": ("principal", "internal_status"),
    "status_agent": ("principal", "status", "agent"),
    "status_task_list": ("principal", "status", "task_list"),
    "status_assigned": ("principal", "status", "assigned_agent"),
    "task_list_assigned": ("principal", "task_list", "assigned_agent"),
}
_OPTIONAL = frozenset({"task_list", "assigned_agent", "triggering_agent", "internal_status"})


def _index(name: str, columns: tuple[str, ...]) -> str:
    conditions = " AND ".join(f"{column} IS NOT NULL" for column in columns if column in _OPTIONAL)
    where = f" WHERE {conditions}" if conditions else ""
    order = ", ".join((*columns, "span", "last_activity_at DESC", "seq DESC", "created_at"))
    return f"DROP INDEX IF EXISTS tasks_by_{name}; CREATE INDEX tasks_by_{name} ON tasks ({order}){where};"


_CASES = "\n".join(
    f"    WHEN last_activity_at - created_at <= {end}000000 THEN {span}" for span, end in enumerate(ENDS)
)

_COLUMNS = f"""
DROP INDEX tasks_by_span;
ALTER TABLE tasks DROP COLUMN span;
ALTER TABLE tasks ADD COLUMN span INTEGER GENERATED ALWAYS AS (CASE
{_CASES}
    ELSE {len(ENDS)} END) VIRTUAL;
-- A short time is looked through as a whole; what the listed pairs are made of is there, so that no task is looked at.
CREATE INDEX tasks_by_creation ON tasks
    (principal, created_at, last_activity_at, status, agent, task_list, assigned_agent);
"""

SCRIPT = "\n".join((_COLUMNS, *(_index(name, columns) for name, columns in _LISTS.items())))
