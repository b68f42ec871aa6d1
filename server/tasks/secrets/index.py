"""What must be masked in what comes out of a task, beside the secrets of its turn.

That is: the secrets of its earlier turns, which may be in its files, and those of the tasks whose folders it works in,
or that were made to write in the same.
"""

from contextlib import suppress
from dataclasses import dataclass

from server.errors import Code, RemitError
from server.tasks.secrets.vault import SecretVault
from storage.records.secrets import SecretRecord
from storage.sqlite.store import Store


@dataclass(frozen=True, slots=True)
class KnownSecrets:
    """The values to be masked, with the names that they go by, and the secrets whose values are not to be had."""

    values: list[tuple[str, str]]
    lost: list[SecretRecord]


class SecretIndex:
    """Finds every secret value that may occur in a task's files."""

    def __init__(self, store: Store, vault: SecretVault) -> None:
        self._store = store
        self._vault = vault

    async def of_all_turns(self, task_id: str) -> KnownSecrets:
        """Those of all turns of all these: a typed value of an earlier turn was dropped with that."""
        values: list[tuple[str, str]] = []
        lost: list[SecretRecord] = []
        read: dict[str, str | None] = {}
        for record in await self._store.secrets_of_all_turns(task_id):
            value = self._vault.of(record)
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
        """The values of those that the sharing tasks have, or have had since then.

        What they had before is masked nowhere but in files: not in what they say themselves, either.
        Raises RemitError (SECRETS_LOST) where one is gone.
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
