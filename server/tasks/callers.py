"""Who asks."""

from dataclasses import dataclass
from pathlib import Path

from storage.records import Principal


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `person` where the face is a terminal, and the folder on this machine it was started in."""

    principal: Principal
    person: bool
    folder: Path | None
