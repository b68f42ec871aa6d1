"""The schema, as forward-only steps; `user_version` counts the steps a file has seen.

Times are integers, microseconds since the epoch, UTC. JSON columns hold what is never searched.
"""

from storage.migrations import (
    agents,
    attempts,
    awaiting,
    basis,
    circumstances,
    clock,
    firsttime,
    history,
    identity,
    lending,
    numbers,
    queue,
    relations,
    remains,
    retention,
    secrets,
    sent,
    spans,
    statistics,
    workspaces,
)

MIGRATIONS = (
    basis.SCRIPT,
    relations.SCRIPT,
    history.SCRIPT,
    numbers.SCRIPT,
    spans.SCRIPT,
    retention.SCRIPT,
    agents.SCRIPT,
    workspaces.SCRIPT,
    awaiting.SCRIPT,
    secrets.SCRIPT,
    lending.SCRIPT,
    remains.SCRIPT,
    circumstances.SCRIPT,
    sent.SCRIPT,
    identity.SCRIPT,
    queue.SCRIPT,
    clock.SCRIPT,
    attempts.SCRIPT,
    firsttime.SCRIPT,
    statistics.SCRIPT,
)
