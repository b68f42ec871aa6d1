"""Numbers that several parts must agree on, each in this one place; those of one part alone stand in that part.

The standard library alone: the command line's client reads it, too. The limits of a command are in
`server/runner/policy.py:Limits`, those of requests in `server/tasks/requests/fields.py`.
"""

MIB = 1024**2
GIB = 1024**3
"""Bytes."""

DAY = 24 * 3600
"""Seconds."""

PIPE_BYTES = 65536
"""Bytes that are read at once of a pipe or a socket: what a pipe holds, by pipe(7)."""

PATH_MAX = 4096
"""Bytes of a path, in linux/limits.h."""

LEAST_MEMORY = 16 * MIB
"""Bytes: the lowest limit of memory that can be set."""

LEAST_OPEN_FILES = 16
"""Descriptors: the lowest limit of them that can be set."""

LONGEST_TIMEOUT = 7 * DAY
"""Seconds of work that a turn may take at most."""

MAX_SUBTASKS = 1000
"""Tasks beneath one task, unless the settings say otherwise; so many are followed in a terminal."""

SHORT_ID = 8
"""Characters of an id that are shown, and that name a task: that two of a hundred tasks share them has a chance of one
in a million."""

TOOL_NAME = 64
"""Characters of a tool's name that every provider of models takes."""

MAX_EVENT_TEXT = 8000
"""Characters of text in one event, a thought of an agent among them, so that a page of events can be kept small."""

MAX_FILES = 20
"""Files of one message, as in the API that the tool implements."""

MAX_INLINE_BYTES = 8 * MIB
"""Bytes of the files of one message whose content comes with it, as part of one JSON text in memory."""

MAX_WAIT_SECONDS = 45
"""Seconds of a wait at most, because hosts cut a tool call off after 60."""

MAX_ANSWER = 1_000_000
"""Characters of an answer of get_task at most."""

LIST_PAGE, MAX_LIST_PAGE = 50, 100
"""Tasks on a page of list_tasks: by default, and at most."""

GRAPH_PAGE, MAX_GRAPH_PAGE = 100, 500
"""Tasks on a page of get_task_graph: by default, and at most."""
