"""The values of secrets: in this process's memory, and nowhere else."""

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
"""Has values masked, given as (name, value): once it is done they are."""


class SecretsLost(Exception):
    """Literal secrets a turn needs are not in memory any more."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


@dataclass(frozen=True, slots=True)
class _Turn:
    """The values of one turn, by which way they came."""

    literals: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, str]:
        return self.literals | self.named


class SecretVault:
    """Keeps the values of each open turn, and reads those the operator's settings name."""

    def __init__(self, sources: Mapping[str, SecretSource]) -> None:
        self._sources = sources
        self._key = token_bytes(32)
        self._turns: dict[str, dict[int, _Turn]] = {}
        self._shared_from: dict[str, Sequence[str]] = {}
        self._at_work: dict[str, MaskFn] = {}
        self._over: set[str] = set()  # those that have ended, and whose values others still need

    @property
    def held(self) -> int:
        """How many tasks have values here that would be lost with this process."""
        return sum(any(turn.literals for turn in turns.values()) for turns in self._turns.values())

    async def keep(self, task_id: str, turn: int, values: Mapping[str, str], origins: Mapping[str, Origin]) -> None:
        """Remember values for a task's open turn, beside those that are known.

        Once this returns, those at work that it shares a folder with mask them.
        """
        self._over.discard(task_id)
        kept = self._turns.setdefault(task_id, {}).setdefault(turn, _Turn())
        for name, value in values.items():
            (kept.literals if origins[name] == "literal" else kept.named)[name] = value
        await self._tell(task_id)

    def drop(self, task_id: str) -> None:
        """Forget the values of a task that has ended, once all have that it shares a folder with."""
        self._over.add(task_id)
        self._forget({task_id, *self._sharing(task_id)})

    async def share(self, task_id: str, receiver: str) -> None:
        """Keep a task's values for one that gets its folder, and those that are shared with this one itself."""
        await self.set_shared_from(receiver, (task_id, *self._shared_from.get(task_id, ())))

    async def set_shared_from(self, task_id: str, shared_from: Sequence[str]) -> None:
        """Keep the values of these tasks, and of no others, until this one has ended."""
        before = self._sharing(task_id)
        self._shared_from.pop(task_id, None)
        if shared_from:
            self._shared_from[task_id] = shared_from
        self._forget(before)
        await self._tell(task_id)

    @contextmanager
    def shared(self, task_id: str, mask: MaskFn) -> Iterator[list[tuple[str, str]]]:
        """The values of those that a task at work shares a folder with; `hide` is told what these get meanwhile.

        A value is told before a command can have it, and so before anybody can find it in the folder.
        """
        self._at_work[task_id] = mask
        try:
            yield [named for other in self._sharing(task_id) for named in self.all(other)]
        finally:
            del self._at_work[task_id]

    def known(self, task_id: str) -> dict[str, str]:
        """The values that are in memory for a task's latest turn."""
        return self._latest(task_id).all

    def all(self, task_id: str) -> Iterator[tuple[str, str]]:
        """All values that are in memory for a task, by name, whatever turn they are of."""
        for turn in self._turns.get(task_id, {}).values():
            yield from turn.all.items()

    def of(self, record: SecretRecord) -> str | None:
        """The value of a secret of some turn, if it is in memory."""
        return self._turns.get(record.task_id, {}).get(record.turn, _Turn()).all.get(record.name)

    def fingerprint(self, text: str) -> str:
        """What a text is known again by: made with a key in this process's memory, so that nobody can try guesses."""
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), "sha256").hex()

    def version(self, name: str, origin: Origin, value: str) -> str:
        """What a secret is known again by: its value where it was typed, which lasts as long as this process.

        One by name is what the operator's settings say of it, whatever value they lead to now.
        """
        if origin == "literal":
            return self.fingerprint(f"{name}\0{value}")
        source = self._sources.get(name)
        return sha256(source.model_dump_json().encode()).hexdigest() if source else ""

    def missing(self, task_id: str, wanted: Mapping[str, Origin]) -> list[str]:
        """The names of literal secrets that are wanted in a task's latest turn and not known any more."""
        known = self._latest(task_id).literals
        return [name for name, origin in wanted.items() if origin == "literal" and name not in known]

    async def of_turn(self, task_id: str, turn: int, wanted: Mapping[str, Origin]) -> dict[str, str]:
        """All values of a turn, those by name read again where they are not known.

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
        """The values of secrets by name, from where the settings say.

        Raises RemitError: VALIDATION_ERROR for a name without a setting, EXECUTION_ERROR for one that cannot be read.
        """
        return {name: await self._read(name) for name in names}

    async def _tell(self, task_id: str) -> None:
        """Tell those at work, also where the caller is cancelled: the values are in memory, and may be used at once."""
        with CancelScope(shield=True):
            for other in self._sharing(task_id):
                if mask := self._at_work.get(other):
                    await mask(list(self.all(task_id)))

    def _sharing(self, task_id: str) -> set[str]:
        """Those that share their folder with a task, or have got its own, or the same from a third."""
        shared = {task_id, *self._shared_from.get(task_id, ())}
        receivers = {each for each, shared_from in self._shared_from.items() if not shared.isdisjoint(shared_from)}
        return (shared | receivers) - {task_id}

    def _forget(self, task_ids: set[str]) -> None:
        """Forget those of these that have ended, unless somebody is open who may find their values."""
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
