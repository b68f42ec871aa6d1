"""What must be masked in what is left of a task: the secrets of all its turns."""

from contextlib import suppress
from dataclasses import dataclass

from server.errors import RemitError
from server.tasks.secrets import Secrets
from storage.secrets import Had
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Known:
    """The values to be masked, with the names that they go by, and the secrets whose values are not to be had."""

    values: list[tuple[str, str]]
    lost: list[Had]


class Masks:
    """Finds them."""

    def __init__(self, store: Store, secrets: Secrets) -> None:
        self._store = store
        self._secrets = secrets

    async def ever(self, task_id: str) -> Known:
        """Those of all turns of a task: a typed value that an earlier turn had was dropped with that."""
        values: list[tuple[str, str]] = []
        lost: list[Had] = []
        read: dict[str, str | None] = {}
        for had in await self._store.secrets_ever(task_id):
            value = self._secrets.of(had)
            if had.source == "named":
                value = read[had.name] = value or (read[had.name] if had.name in read else await self._read(had.name))
            if value is None:
                lost.append(had)
            else:
                values.append((had.name, value))
        return Known(values, lost)

    async def _read(self, name: str) -> str | None:
        with suppress(RemitError):  # its setting may be gone
            return (await self._secrets.read([name]))[name]
        return None
