"""Vault of secret values: in this process's memory, and nowhere else."""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes

from anyio import CancelScope

from server.config import SecretSource
from server.errors import Code, RemitError
from server.tasks.secrets import sources
from storage.records.secrets import SecretRecord
from storage.records.tasks import SecretSource as Origin

MaskFn = Callable[[Iterable[tuple[str, str]]], Awaitable[None]]
"""Masks values given as (name, value), from when it returns."""


class SecretsLost(Exception):
    """Literal secrets that a turn needs are no longer in memory."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


@dataclass(frozen=True, slots=True)
class _Turn:
    """The secret values of one turn: given literally, or read by name."""

    literals: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, str]:
        return self.literals | self.named


class SecretVault:
    """Secret values of each open turn; reads those named in the operator's settings."""

    def __init__(self, sources: Mapping[str, SecretSource]) -> None:
        self._sources = sources
        self._key = token_bytes(32)
        self._turns: dict[str, dict[int, _Turn]] = {}
        self._shared_from: dict[str, Sequence[str]] = {}
        self._at_work: dict[str, MaskFn] = {}
        self._over: set[str] = set()  # ended tasks whose values other tasks still need

    @property
    def held(self) -> int:
        """The number of tasks with values that would be lost with this process."""
        return sum(any(turn.literals for turn in turns.values()) for turns in self._turns.values())

    async def keep(self, task_id: str, turn: int, values: Mapping[str, str], origins: Mapping[str, Origin]) -> None:
        """Store values for a task's open turn, in addition to those known.

        When this returns, running tasks that share a folder with it mask them.
        """
        self._over.discard(task_id)
        kept = self._turns.setdefault(task_id, {}).setdefault(turn, _Turn())
        for name, value in values.items():
            (kept.literals if origins[name] == "literal" else kept.named)[name] = value
        await self._tell(task_id)

    def drop(self, task_id: str) -> None:
        """Drop the values of an ended task, once all tasks that share a folder with it have ended."""
        self._over.add(task_id)
        self._forget({task_id, *self._sharing(task_id)})

    async def share(self, task_id: str, receiver: str) -> None:
        """Keep the values of a task, and those shared with it, for a task that gets its folder."""
        await self.set_shared_from(receiver, (task_id, *self._shared_from.get(task_id, ())))

    async def set_shared_from(self, task_id: str, shared_from: Sequence[str]) -> None:
        """Keep the values of exactly these tasks until `task_id` has ended."""
        before = self._sharing(task_id)
        self._shared_from.pop(task_id, None)
        if shared_from:
            self._shared_from[task_id] = shared_from
        self._forget(before)
        await self._tell(task_id)

    @contextmanager
    def shared(self, task_id: str, mask: MaskFn) -> Iterator[list[tuple[str, str]]]:
        """Yield the values of the tasks that share a folder with a running one; `mask` gets those added meanwhile.

        A value is masked before any command can have it, and so before it can appear in the folder.
        """
        self._at_work[task_id] = mask
        try:
            yield [named for other in self._sharing(task_id) for named in self.all(other)]
        finally:
            del self._at_work[task_id]

    def known(self, task_id: str) -> dict[str, str]:
        """Return the values in memory for a task's latest turn."""
        return self._latest(task_id).all

    def all(self, task_id: str) -> Iterator[tuple[str, str]]:
        """Yield all values in memory for a task, as (name, value), of any turn."""
        for turn in self._turns.get(task_id, {}).values():
            yield from turn.all.items()

    def of(self, record: SecretRecord) -> str | None:
        """Return the value of a turn's secret, if it is in memory."""
        return self._turns.get(record.task_id, {}).get(record.turn, _Turn()).all.get(record.name)

    def fingerprint(self, text: str) -> str:
        """Return the HMAC of a text, keyed in this process's memory so that nobody can test guesses."""
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), "sha256").hex()

    def version(self, name: str, origin: Origin, value: str) -> str:
        """Return the version of a secret: a keyed hash of a literal value, which lasts as long as this process.

        For one by name, the hash of its settings, whatever value they lead to now.
        """
        if origin == "literal":
            return self.fingerprint(f"{name}\0{value}")
        source = self._sources.get(name)
        return sha256(source.model_dump_json().encode()).hexdigest() if source else ""

    def missing(self, task_id: str, wanted: Mapping[str, Origin]) -> list[str]:
        """Return the names of literal secrets of a task's latest turn that are no longer in memory."""
        known = self._latest(task_id).literals
        return [name for name, origin in wanted.items() if origin == "literal" and name not in known]

    async def of_turn(self, task_id: str, turn: int, wanted: Mapping[str, Origin]) -> dict[str, str]:
        """Return all values of a turn; those by name are read if they are not in memory.

        Raises SecretsLost for missing literals, RemitError for a name that cannot be read.
        """
        missing = self.missing(task_id, wanted)
        if missing:
            raise SecretsLost(missing)
        known = self.known(task_id)
        if unknown := [name for name in wanted if name not in known]:
            await self.keep(task_id, turn, await self.read(unknown), wanted)
        return {name: value for name, value in self.known(task_id).items() if name in wanted}

    async def read(self, names: Iterable[str]) -> dict[str, str]:
        """Read the values of secrets by name, from where the settings say.

        Raises RemitError: VALIDATION_ERROR for a name without a setting, EXECUTION_ERROR for one that cannot be read.
        """
        return {name: await self._read(name) for name in names}

    async def _tell(self, task_id: str) -> None:
        """Make running tasks mask the values, even if the caller is cancelled: commands may use them at once."""
        with CancelScope(shield=True):
            for other in self._sharing(task_id):
                if mask := self._at_work.get(other):
                    await mask(list(self.all(task_id)))

    def _sharing(self, task_id: str) -> set[str]:
        """Return the other tasks of its folder: those that shared it with the task, got it from it, or from a third."""
        shared = {task_id, *self._shared_from.get(task_id, ())}
        receivers = {each for each, shared_from in self._shared_from.items() if not shared.isdisjoint(shared_from)}
        return (shared | receivers) - {task_id}

    def _forget(self, task_ids: set[str]) -> None:
        """Drop the values of ended tasks, unless an open task may find them in its folder."""
        needed = {
            each
            for task_id, shared_from in self._shared_from.items()
            if task_id not in self._over
            for each in shared_from
        }
        for task_id in self._over & task_ids:
            shared = {task_id, *self._shared_from.get(task_id, ())}
            is_needed = not shared.isdisjoint(needed) or any(map(self._is_open, shared))
            if not (is_needed and any(self.all(task_id))):
                self._turns.pop(task_id, None)
                self._shared_from.pop(task_id, None)
                self._over.discard(task_id)

    def _is_open(self, task_id: str) -> bool:
        return task_id not in self._over and (task_id in self._turns or task_id in self._shared_from)

    def _latest(self, task_id: str) -> _Turn:
        turns = self._turns.get(task_id, {})
        return turns[max(turns)] if turns else _Turn()

    async def _read(self, name: str) -> str:
        source = self._sources.get(name)
        if source is None:
            known = ", ".join(sorted(self._sources)) or "none"
            raise RemitError(
                Code.VALIDATION_ERROR,
                f"secretNames: the settings have no secret {name!r} (known: {known}); add [secrets.{name}] to it",
                field="secretNames",
            )
        return await sources.read(name, source)
