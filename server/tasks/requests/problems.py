"""Problems of a call's arguments, by field, in plain words that never repeat a possible secret."""

import re
from typing import Any

from pydantic import ValidationError

from server import patterns
from server.characters import visible
from server.errors import Code, RemitError
from server.plain_words import but_is, in_words

MOST = 20
"""Problems reported for one call; further ones are counted."""

_MAX_NAME = 80
"""Characters of an unknown field's name in an error."""

_FIELD = re.compile(r"([a-z]+(?:[A-Z][a-z]+)*): ")

_NEVER_REPEATED = frozenset({"secrets", "env", "files", "metadata", "message", "systemPrompt"})
"""Fields whose values no error repeats."""

_HIDDEN_NAME = (
    f"each name in it must be {patterns.FORMS[patterns.NAME]}; the wrong one is not repeated here, since it may be a "
    "value"
)


class Problems:
    """Problems by the path of their field, one for each: the first MOST, and the number of further ones."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._told)

    @property
    def are_enough(self) -> bool:
        """Whether further problems would only be counted."""
        return len(self._told) >= MOST

    def add(self, path: str, text: str) -> None:
        """Add a problem, unless its field has one already."""
        if path in self._told:
            return
        if self.are_enough:
            self._more += 1
        else:
            self._told[path] = text

    def take(self, error: ValidationError) -> None:
        """Add the errors of a pydantic model."""
        for problem in error.errors(include_url=False):
            self.add(*_told(problem))

    def refusal(self) -> RemitError:
        """Return the error: VALIDATION_ERROR with `field` and `problems`, and `moreProblems` if there are more."""
        told = [{"field": field, "message": text} for field, text in self._told.items()]
        message = "; ".join(f"{field}: {text}" for field, text in self._told.items())
        if self._more:
            message += f"; and {self._more} more"
        more = {"moreProblems": self._more} if self._more else {}
        return RemitError(Code.VALIDATION_ERROR, message, field=told[0]["field"], problems=told, **more)


def below(path: str, name: str) -> str:
    """Return the path of an object's field."""
    return f"{path}.{name}" if path else name


def shown(name: str) -> str:
    """Return an unknown field's name as an error shows it."""
    return visible(name[:_MAX_NAME])[:_MAX_NAME]


def _told(problem: Any) -> tuple[str, str]:
    location = problem["loc"]
    if location[:1] == ("secrets",) and location[1:] and not re.match(patterns.NAME, str(location[1])):
        return "secrets", _HIDDEN_NAME
    text = _text(problem)
    if not location and (found := _FIELD.match(text)):  # it is of two fields together, and names the one at fault
        return found[1], text[found.end() :]
    return _path(location) or "arguments", text


def _path(location: tuple[str | int, ...]) -> str:
    """Return a location as `env.NAME` or `files[3].path`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path = below(path, shown(part))
    return path


def _text(problem: Any) -> str:
    kind, context, location = problem["type"], problem.get("ctx", {}), problem["loc"]
    is_public = bool(location) and location[0] not in _NEVER_REPEATED
    return in_words(kind, problem["msg"], context) + but_is(kind, problem["input"], repeated=is_public)
