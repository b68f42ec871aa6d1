"""The search for control groups that this server may use, and a test of their limits."""

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

from server.limits import MIB
from server.runner.cgroups.control_group import (
    ControlGroup,
    ControlGroups,
    Controller,
    DelegatedGroup,
    Feature,
    prefix_of,
)
from server.runner.cgroups.hierarchy import candidates
from server.runner.policy import Limits
from server.runner.programs.copies import INSTALLED, Programs

TIMEOUT_SECONDS = 5.0  # for each step; all of them take 0.1 s

_LIMITS = Limits(processes=4, memory_bytes=48 * MIB)  # enough for the Python interpreter of the probe
_KERNEL_BYTES = 4 * MIB  # a third of what the probe makes the kernel hold
_BUSY_SECONDS = 0.015  # half of what the probe's child uses


def find_groups(owner: Path | None, programs: Programs = INSTALLED) -> ControlGroups:
    """Return the delegated control groups of this process whose limits were tested to work. Blocks for about 0.1 s.

    `owner` is the server's folder, which names its groups; `programs` has the probe. Raises nothing: without usable
    groups, the result is empty.
    """
    prefix = prefix_of(owner)
    usable = tuple(_usable(prefix))
    held: set[Feature] = set()
    with suppress(OSError), _group(usable, prefix) as group:
        held = _working(group, programs)
    narrowed = (replace(each, controllers=_holding(each, held)) for each in usable)
    return ControlGroups(tuple(each for each in narrowed if each.controllers), frozenset(held), prefix)


def _usable(prefix: str) -> Iterator[DelegatedGroup]:
    """Yield each hierarchy in which a group can be made, with the features that no earlier one has."""
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
    group = ControlGroup(delegations, f"{prefix}probe", _LIMITS)
    try:
        yield group
    finally:
        group.remove()


def _holding(delegation: DelegatedGroup, held: set[Feature]) -> tuple[Controller, ...]:
    return tuple(each for each in delegation.controllers if each.feature in held)


def _working(group: ControlGroup, programs: Programs) -> set[Feature]:
    """Run the probe in the group, and return the features that work."""
    argv = (sys.executable, "-I", "-S", str(programs.cgroup_probe))
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env={}, bufsize=0) as probe:
        try:
            group.add(probe.pid)
            return _tested(probe, group)
        finally:
            probe.kill()


def _tested(probe: "subprocess.Popen[bytes]", group: ControlGroup) -> set[Feature]:
    held: set[Feature] = set()
    _step(probe)
    if group.usage("processor time") > _BUSY_SECONDS:
        held.add("processor time")
    if group.was_hit("processes"):
        held.add("processes")
    before = group.usage("memory")
    _step(probe)
    kernel = group.usage("memory") - before > _KERNEL_BYTES
    _step(probe)
    if group.was_hit("memory"):
        held |= {"memory", "kernel memory"} if kernel else {"memory"}
    if _ends(group):
        held.add("end")
    return held


def _step(probe: "subprocess.Popen[bytes]") -> None:
    """Make the probe do its next step, and wait until it has, or was killed for it. Raises TimeoutError."""
    assert probe.stdin
    assert probe.stdout
    with suppress(BrokenPipeError):
        probe.stdin.write(b"\n")
    readable, _, _ = select.select([probe.stdout], [], [], TIMEOUT_SECONDS)
    if not readable:
        raise TimeoutError("the probe of control groups does not answer")
    probe.stdout.readline()


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
