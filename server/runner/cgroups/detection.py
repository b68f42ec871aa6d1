"""Which control groups this server may use: found by trying, like the sandbox itself."""

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

from server.runner.cgroups.control_group import (
    ControlGroup,
    ControlGroups,
    Controller,
    DelegatedGroup,
    Feature,
    prefix_of,
)
from server.runner.cgroups.hierarchy import candidates
from server.runner.policy import MIB, Limits
from server.runner.programs.copies import INSTALLED, Programs

PATIENCE = 5.0  # seconds; all of it takes 0.1

_LIMITS = Limits(processes=4, memory_bytes=48 * MIB)  # enough for the Python that tries them
_KERNEL_BYTES = 4 * MIB  # of what the trial has the kernel hold, which is three times as much
_BUSY_SECONDS = 0.015  # of what the trial's child spends, which is twice as much


def find_groups(owner: Path | None, programs: Programs = INSTALLED) -> ControlGroups:
    """What of the groups this process is in can be relied upon. Blocks for a moment.

    `owner` is the folder of the server whose groups they are to be, `programs` has what tries them. Raises nothing:
    where none were delegated, or they do not hold, there are none.
    """
    prefix = prefix_of(owner)
    usable = tuple(_usable(prefix))
    held: set[Feature] = set()
    with suppress(OSError), _group(usable, prefix) as group:
        held = _tried(group, programs)
    narrowed = (replace(each, controllers=_holding(each, held)) for each in usable)
    return ControlGroups(tuple(each for each in narrowed if each.controllers), frozenset(held), prefix)


def _usable(prefix: str) -> Iterator[DelegatedGroup]:
    """Each hierarchy in which a group can be made, for what no other before it can do."""
    features: set[Feature] = set()
    for candidate in candidates():
        controllers = tuple(each for each in candidate.controllers if each.feature not in features)
        new = replace(candidate, controllers=controllers)
        with suppress(OSError), _group((new,), prefix):
            features |= {each.feature for each in controllers}
            if controllers:
                yield new


@contextmanager
def _group(delegations: tuple[DelegatedGroup, ...], prefix: str) -> Iterator[ControlGroup]:
    group = ControlGroup(delegations, f"{prefix}trial", _LIMITS)
    try:
        yield group
    finally:
        group.remove()


def _holding(delegation: DelegatedGroup, held: set[Feature]) -> tuple[Controller, ...]:
    return tuple(each for each in delegation.controllers if each.feature in held)


def _tried(group: ControlGroup, programs: Programs) -> set[Feature]:
    argv = (sys.executable, "-I", "-S", str(programs.cgroup_probe))
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env={}, bufsize=0) as trial:
        try:
            group.add(trial.pid)
            return _watched(trial, group)
        finally:
            trial.kill()


def _watched(trial: "subprocess.Popen[bytes]", group: ControlGroup) -> set[Feature]:
    held: set[Feature] = set()
    _step(trial)
    if group.usage("processor time") > _BUSY_SECONDS:
        held.add("processor time")
    if group.was_hit("processes"):
        held.add("processes")
    before = group.usage("memory")
    _step(trial)
    kernel = group.usage("memory") - before > _KERNEL_BYTES
    _step(trial)
    if group.was_hit("memory"):
        held |= {"memory", "kernel memory"} if kernel else {"memory"}
    if _ends(group):
        held.add("end")
    return held


def _step(trial: "subprocess.Popen[bytes]") -> None:
    """Have it do the next thing, and wait until that is done, or until it was ended for it."""
    assert trial.stdin
    assert trial.stdout
    with suppress(BrokenPipeError):
        trial.stdin.write(b"\n")
    readable, _, _ = select.select([trial.stdout], [], [], PATIENCE)
    if not readable:
        raise TimeoutError("a trial of control groups does not come back")
    trial.stdout.readline()


def _ends(group: ControlGroup) -> bool:
    sleeper = subprocess.Popen(("sleep", "60"), stdin=subprocess.DEVNULL)
    try:
        group.add(sleeper.pid)
        group.kill()
        deadline = monotonic() + 1
        while sleeper.poll() is None and monotonic() < deadline:
            sleep(0.001)
        return sleeper.poll() is not None
    finally:
        sleeper.kill()
        sleeper.wait()
