"""Variables of a run: the environment of its commands, template values, and the masker of its texts."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

import anyio

from server.errors import Code, RemitError
from server.tasks.secrets import masking
from server.tasks.secrets.index import SecretIndex
from server.tasks.secrets.masking import Masker
from server.tasks.secrets.vault import SecretsLost, SecretVault
from server.threads import computed
from storage.interface import Store
from storage.records.tasks import Claim
from templates.resolver import derived, resolve

MOST_FILLED = 1024**2
"""Characters of all variables of env with templates resolved: half of what Linux lets a program have."""


class Variables:
    """The env of a task, and the values of its secrets once they are unlocked."""

    def __init__(self, claim: Claim, vault: SecretVault, store: Store) -> None:
        self._claim = claim
        self._vault = vault
        self._index = SecretIndex(store, vault)
        self._env: Mapping[str, str] = claim.task.env or {}
        self._values: dict[str, str] = {}
        self._derived: list[tuple[str, str]] = []
        self.masker = Masker({})
        """Masks the values known so far; streams of it that have begun mask values learned later, too."""

        self._unlocking = anyio.Lock()
        self._learning = anyio.Lock()

    @property
    def secrets(self) -> Mapping[str, str]:
        """The values of the turn's secrets; empty before `unlock`."""
        return self._values

    async def mask(self, name: str, value: str) -> None:
        """Mask a further value, which is no secret of the task, from when this returns."""
        await self._learn([(name, value)])

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Mask the secrets of tasks that share a folder with this one, including those they get while the block runs.

        So are those of the task's earlier turns, which may have written them to its folder, as far as they are known.
        Raises RemitError (SECRETS_LOST): when the value of one is gone.
        """
        await self._vault.set_shared_from(self._claim.task.id, self._claim.shared_from)
        with self._vault.shared(self._claim.task.id, self._learn) as known:
            if self._claim.shared_from:
                known += await self._index.shared(self._claim.task.id, self._claim.turn.created_at)
            elif self._claim.run.turn > 1:
                known += (await self._index.of_all_turns(self._claim.task.id, self._claim.secrets)).values
            await self._learn(known)
            yield

    async def unlock(self) -> None:
        """Load the values of the turn's secrets. Raises SecretsLost, or RemitError for one that cannot be read."""
        async with self._unlocking:
            if self._claim.secrets and not self._values:
                await self._unlock()

    async def _unlock(self) -> None:
        values = await self._vault.of_turn(self._claim.task.id, self._claim.run.turn, self._claim.secrets)
        await self._learn(await computed(_size(self._env), _derived, self._env, values), values)

    async def _learn(self, named: Iterable[tuple[str, str]], values: Mapping[str, str] | None = None) -> None:
        """Add the pairs `named` to what is masked, and set `values`, the turn's secrets.

        The masker is built beside the event loop: thousands of secrets take a second.
        """
        async with self._learning:
            if values is None and set(named) <= set(self._derived):
                return
            values = self._values if values is None else dict(values)
            while True:
                known = list(self._derived)
                wanted = list(dict.fromkeys([*known, *named]))
                masker = await masking.masker(values, wanted)
                if known == self._derived:  # else more came to be known meanwhile
                    break
            self._values, self._derived = values, wanted
            self.masker.become(masker)

    async def ever(self) -> Masker | None:
        """Return a masker that also masks the secrets of all the task's turns; None if a value is gone."""
        try:
            await self.unlock()
            known = await self._index.of_all_turns(self._claim.task.id)
        except (SecretsLost, RemitError):
            return None
        return None if known.lost else await masking.masker(self._values, [*self._derived, *known.values])

    def fill_in(self, text: str) -> str:
        """Return `text` with its templates resolved. Values that filters derive from secrets are masked from now on.

        Raises RemitError (TEMPLATE_ERROR) that names the missing key.
        """
        if self._mask(text):
            self.masker.know(self._values, self._derived)
        return resolve(text, {**self._env, **self._values})

    def environment(self) -> dict[str, str]:
        """Return all variables, with the templates in the task's env resolved; secrets win over variables.

        Raises RemitError (TEMPLATE_ERROR) that names the missing key.
        """
        return environment(self._env, self._values)

    def versions(self) -> dict[str, str]:
        """Return the versions of the turn's unlocked secrets by name; a version reveals nothing of the value."""
        origins = self._claim.secrets
        return {name: self._vault.version(name, origins[name], value) for name, value in self._values.items()}

    def fingerprint(self, text: str) -> str:
        """Return a keyed hash of a text, stable while this server runs; it reveals nothing of the text."""
        return self._vault.fingerprint(text)

    def _mask(self, text: str) -> bool:
        new = [pair for pair in derived(text, self._values) if pair not in self._derived]
        self._derived += new
        return bool(new)


def _derived(env: Mapping[str, str], values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the values that templates in `env` derive from secrets, as (secret's name, value)."""
    return [pair for text in env.values() for pair in derived(text, values)]


def _size(env: Mapping[str, str]) -> int:
    return sum(map(len, env.values()))


def environment(env: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return all variables of a turn, with the templates in `env` resolved.

    Raises RemitError (TEMPLATE_ERROR) that names the missing key, or for variables that become too long in all.
    """
    known = {**env, **secrets}
    filled: dict[str, str] = {}
    room = MOST_FILLED
    for name, value in env.items():
        filled[name] = resolve(value, known)
        room -= len(filled[name])
        if room < 0:
            raise RemitError(
                Code.TEMPLATE_ERROR,
                f"env.{name}: with their templates filled in, the variables are longer than {MOST_FILLED} characters",
            )
    return filled | dict(secrets)
