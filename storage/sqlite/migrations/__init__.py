"""The schema as forward-only migrations; `user_version` counts those that a file has seen.

Times are integers, microseconds since the epoch, UTC. JSON columns hold what is never searched.
"""

from storage.sqlite.migrations import (
    m01_basis,
    m02_relations,
    m03_history,
    m04_numbers,
    m05_spans,
    m06_retention,
    m07_agents,
    m08_workspaces,
    m09_awaiting,
    m10_secrets,
    m11_lending,
    m12_remains,
    m13_circumstances,
    m14_sent,
    m15_identity,
    m16_queue,
    m17_clock,
    m18_attempts,
    m19_first_time,
    m20_statistics,
    m21_folders,
)

MIGRATIONS = (
    m01_basis.SCRIPT,
    m02_relations.SCRIPT,
    m03_history.SCRIPT,
    m04_numbers.SCRIPT,
    m05_spans.SCRIPT,
    m06_retention.SCRIPT,
    m07_agents.SCRIPT,
    m08_workspaces.SCRIPT,
    m09_awaiting.SCRIPT,
    m10_secrets.SCRIPT,
    m11_lending.SCRIPT,
    m12_remains.SCRIPT,
    m13_circumstances.SCRIPT,
    m14_sent.SCRIPT,
    m15_identity.SCRIPT,
    m16_queue.SCRIPT,
    m17_clock.SCRIPT,
    m18_attempts.SCRIPT,
    m19_first_time.SCRIPT,
    m20_statistics.SCRIPT,
    m21_folders.SCRIPT,
)
