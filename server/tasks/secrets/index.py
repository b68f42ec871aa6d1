"""Index of the secret values to be masked in a task's files, beside those of its present turn.

These are the secrets of its earlier turns, and those of the tasks that share a folder with it: their files may
contain them.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from server.errors import Code, RemitError
from server.tasks.secrets.vault import SecretVault
from storage.interface import Store
from storage.records.secrets import SecretRecord


@dataclass(frozen=True, slots=True)
class KnownSecrets:
    """Secret values to be masked, as (name, value), and the secrets whose values are gone."""

    values: list[tuple[str, str]]
    lost: list[SecretRecord]


class SecretIndex:
    """Finds every secret value that may occur in a task's files."""

    def __init__(self, store: Store, vault: SecretVault) -> None:
        self._store = store
        self._vault = vault

    async def of_all_turns(self, task_id: str, present: Collection[str] = ()) -> KnownSecrets:
        """Return the secrets of all turns of the task and of those it shares folders with.

        Values typed for an earlier turn were dropped with that turn, unless they are still in memory. Of the names
        `present`, which the turn has itself, only values in memory are returned.
        """
        values: list[tuple[str, str]] = []
        lost: list[SecretRecord] = []
        read: dict[str, str | None] = {}
        for record in await self._store.secrets_of_all_turns(task_id):
            value = self._vault.of(record)
            if value is None and record.name in present:
                continue
            if record.source == "named":
                value = read[record.name] = value or (
                    read[record.name] if record.name in read else await self._read(record.name)
                )
            if value is None:
                lost.append(record)
            else:
                values.append((record.name, value))
        return KnownSecrets(values, lost)

    async def shared(self, task_id: str, since: int) -> list[tuple[str, str]]:
        """Return the secret values of the tasks that share their folder with this one.

        They are masked in this task's output too, even values from before `since` (microseconds). Raises RemitError
        (SECRETS_LOST): when a value that was in use after `since` is gone.
        """
        known = await self.of_all_turns(task_id)
        gone = [
            record
            for record in known.lost
            if record.is_shared and not record.given_up and (record.until is None or record.until > since)
        ]
        if gone:
            names, owner = sorted({record.name for record in gone}), gone[0].task_id
            raise RemitError(
                Code.SECRETS_LOST,
                f"this task works with what task {owner} shares, whose values of {', '.join(names)} are gone and "
                f"could not be masked: send them again to task {owner} (with a message, if it has ended), and then a "
                "message to this one, while that is open",
                missing=names,
            )
        return known.values

    async def _read(self, name: str) -> str | None:
        with suppress(RemitError):  # its setting may be gone
            return (await self._vault.read([name]))[name]
        return None
