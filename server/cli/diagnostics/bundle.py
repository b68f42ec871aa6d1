"""`remit doctor --bundle`: one file for a bug report, without secrets and without the text of tasks."""

import json
import os
import stat
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from server.config import SecretSource, Settings
from server.daemon.paths import DATABASE, StatePaths
from server.errors import Code, RemitError
from server.logs import FILES
from storage.database_files import counts
from templates.redaction import Redactor

LOG_BYTES = 512 * 1024
"""Bytes taken from the end of each log file."""


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of a bundle."""

    name: str
    about: str
    text: str


def write(
    path: Path, paths: StatePaths, settings: Settings | None, findings: Sequence[Mapping[str, Any]]
) -> list[BundleFile]:
    """Write a bundle to a new file, readable by its owner alone; returns its parts.

    Raises RemitError (VALIDATION_ERROR) if the file exists already, or cannot be created.
    """
    parts = list(_parts(paths, settings, findings))
    contents = "".join(f"{part.name}: {part.about}\n" for part in parts)
    try:
        with open(path, "xb", opener=_private) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            bundle.writestr("contents.txt", contents)
            for part in parts:
                bundle.writestr(part.name, part.text)
    except OSError as error:
        raise RemitError(Code.VALIDATION_ERROR, f"--bundle: {path} cannot be written: {error.strerror}") from None
    return parts


def default_path() -> Path:
    """Return the default path of a bundle: in the current folder, named by the time in UTC."""
    return Path(time.strftime("remit-bundle-%Y%m%d-%H%M%S.zip", time.gmtime()))


def _parts(paths: StatePaths, settings: Settings | None, findings: Sequence[Mapping[str, Any]]) -> Iterator[BundleFile]:
    mask = _mask(settings)
    yield BundleFile("doctor.json", "what `remit doctor` finds", mask(_json(findings)))
    if settings:
        told = "the settings that differ from their defaults: numbers and fixed words; of texts, that they are set"
        yield BundleFile("settings.json", told, mask(_json(_different(settings))))
    database = Path(paths.state) / DATABASE
    yield BundleFile(
        "database.json", "how much there is in the database, and whether it is whole", _json(_counts(database))
    )
    yield BundleFile(
        "state.txt", "names, sizes and modes of the files of the state folder", "".join(_listed(paths.state))
    )
    for name in (paths.log, *(f"{paths.log}.{number}" for number in range(1, FILES))):
        if text := _end_of(Path(name)):
            yield BundleFile(os.path.basename(name), f"the end of the log, {LOG_BYTES // 1024} KiB at most", mask(text))


def _mask(settings: Settings | None) -> Callable[[str], str]:
    """Return a function that masks secrets stored in files; commands and keyrings are not queried here."""
    values = {}
    for name, source in _sources(settings) if settings else ():
        try:
            values[name] = source.file.expanduser().read_text().removesuffix("\n") if source.file else ""
        except (OSError, UnicodeDecodeError):
            continue
    return Redactor({name: value for name, value in values.items() if value}).redact


def _sources(settings: Settings) -> Iterator[tuple[str, SecretSource]]:
    yield from settings.secrets.items()
    if key := settings.agents.llm.api_key:
        yield "agents.llm.api_key", key


def _different(model: BaseModel) -> dict[str, Any]:
    fields = type(model).model_fields
    values = {name: getattr(model, name) for name in fields}
    return {
        name: _shown(value, get_args(fields[name].annotation))
        for name, value in values.items()
        if value != fields[name].get_default(call_default_factory=True)
    }


def _shown(value: Any, choices: Sequence[object] = ()) -> Any:
    match value:
        case BaseModel():
            return _different(value)
        case bool() | int() | float() | None:
            return value
        case dict():
            return {name: _shown(each) for name, each in value.items()}
        case tuple() | list():
            return f"set: {len(value)} values"
        case _:
            return value if value in choices else "set"


def _counts(path: Path) -> dict[str, Any]:
    sizes = dict(_sizes(path))
    if not path.is_file():
        return {"bytes": sizes, "error": "there is no database"}
    try:
        return {"bytes": sizes} | counts(path)
    except RemitError as error:
        return {"bytes": sizes, "error": f"it cannot be read: {error.message}"}


def _sizes(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the sizes of a database and its files; a server that ends meanwhile removes some."""
    for each in path.parent.glob(f"{path.name}*"):
        with suppress(FileNotFoundError):
            yield each.name, each.stat().st_size


def _listed(state: str) -> Iterator[str]:
    if not os.path.isdir(state):
        yield "there is no state folder\n"
        return
    for entry in sorted(os.scandir(state), key=lambda each: each.name):
        try:
            found = entry.stat(follow_symlinks=False)
            within = f", {len(os.listdir(entry))} entries" if entry.is_dir(follow_symlinks=False) else ""
        except FileNotFoundError:
            continue
        yield f"{stat.filemode(found.st_mode)} {found.st_size:>12} {entry.name}{within}\n"


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _json(value: Any) -> str:
    return json.dumps(value, indent=1)
