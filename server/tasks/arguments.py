"""Arguments as hosts and models really send them, read as the request models take them.

What is meant is told by the model's own JSON schema alone: JSON in a text where an object or a list belongs, a bare
value for a list of one, an empty text for what is left out, "true" for true, names in another spelling. What could be
meant in two ways is refused.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from server.characters import visible
from server.errors import Code, RemitError
from server.tasks.fields import Request
from server.tasks.words import folded

R = TypeVar("R", bound=Request)
Schema = Mapping[str, Any]

OPTIONS = "options"
"""The object in which rare fields are shown to models."""

HOST_FIELDS = {
    "wait_for_previous": "Gemini CLI: a field of its own in every tool's schema",
    "toolCallId": "n8n: its own id of the call",
}
"""Fields that hosts add to the arguments of any tool, with who adds them: ignored, unless a tool has such a field."""

_OTHER_NAMES = {"taskid": "id"}
"""What fields are called besides, where there is none of that name; without case, `_` and `-`."""

_HALF = "holds half of a surrogate pair, which is no character: send whole ones"
_SURROGATE = re.compile("[\ud800-\udfff]")

_MAX_NAME = 80
"""Characters of an unknown field's name in an error."""


def read(model: type[R], arguments: Any) -> R:
    """The request that the arguments of a call stand for.

    Raises RemitError, VALIDATION_ERROR with `field` and `problems`: all that is wrong, unknown fields first.
    """
    reader = _Reader()
    understood = reader.object(shape(model), reader.ungrouped(model, arguments), "")
    if halves := dict.fromkeys(_halves(understood, ""), _HALF):
        raise _refusal(reader.problems | halves)
    try:
        request = model.model_validate(understood)
    except ValidationError as error:
        reader.take(error)
        raise _refusal(reader.problems) from None
    if reader.problems:
        raise _refusal(reader.problems)
    return request


@cache
def shape(model: type[BaseModel]) -> Schema:
    """The JSON schema of a request, with what it refers to in its place and without the null of optional fields."""
    schema = model.model_json_schema(by_alias=True)
    plain: Schema = _plain(schema, schema.get("$defs", {}))
    return plain


def _plain(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        referred = definitions[node["$ref"].rpartition("/")[2]]
        return _plain(referred | {name: value for name, value in node.items() if name != "$ref"}, definitions)
    plain = {name: _plain(value, definitions) for name, value in node.items() if name != "$defs"}
    kinds = [kind for kind in plain.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return plain
    del plain["anyOf"]
    return kinds[0] | plain


class _Reader:
    """Reads one value after the other; what cannot be read is left as it is for the model to refuse."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        """What is wrong, by the path of the field."""

    def take(self, error: ValidationError) -> None:
        """Add what the model refuses, by fields of which nothing is said yet."""
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            self.problems.setdefault(_path(problem["loc"]) or "arguments", _message(problem))

    def ungrouped(self, model: type[Request], arguments: Any) -> Any:
        """The arguments with what stands in `options` at the top, where both places are understood."""
        given = _from_text(arguments, dict)
        if not model.grouped or not isinstance(given, dict) or OPTIONS not in given:
            return given
        options = _from_text(given[OPTIONS], dict) or {}
        top = {name: value for name, value in given.items() if name != OPTIONS}
        if not isinstance(options, dict):
            self.problems[OPTIONS] = "must be an object"
            return top
        for name in options:
            if top.get(name) not in ("", None, options[name]):
                self.problems[_below(OPTIONS, name)] = "is given at the top too, with another value: give one"
        return top | options

    def object(self, schema: Schema, value: Any, path: str) -> Any:
        """An object: of known fields, of any names with values of one kind, or free."""
        value = _from_text(value, dict)
        if isinstance(value, str) and (name := _only_text(schema)):
            value = {name: value}
        if not isinstance(value, dict):
            return value
        if "properties" in schema:
            return self._fields(schema, value, path)
        kind = _values(schema)
        return {name: _as_text(kind, each) for name, each in value.items()} if kind else value

    def _fields(self, schema: Schema, given: Mapping[str, Any], path: str) -> dict[str, Any]:
        named = self._named(schema["properties"], given, path)
        required = schema.get("required", ())
        found = {}
        for name, each in named.items():
            kind = schema["properties"][name]
            value = self._value(kind, each, _below(path, name))
            if name in required or not _is_left_out(kind, value):
                found[name] = value
        return found

    def _named(self, known: Schema, given: Mapping[str, Any], path: str) -> dict[str, Any]:
        """The values by the names of the fields, which are understood in other spellings too."""
        spellings = {_folded(name): name for name in known}
        found: dict[str, Any] = {name: value for name, value in given.items() if name in known}
        for name, value in given.items():
            if name in known or name in HOST_FIELDS:
                continue
            meant = spellings.get(_folded(name)) or spellings.get(_OTHER_NAMES.get(_folded(name), ""))
            if meant is None:
                self.problems[_below(path, visible(name)[:_MAX_NAME])] = _unknown(name, known)
            elif found.setdefault(meant, value) != value:
                self.problems[_below(path, name)] = f"is another spelling of {meant}, which is given too: give one"
        return found

    def _value(self, schema: Schema, value: Any, path: str) -> Any:
        match schema.get("type"):
            case "object":
                return self.object(schema, value, path)
            case "array":
                return self._list(schema["items"], value, path)
            case "boolean":
                return {"true": True, "false": False}.get(_word(value), value)
            case "string" if "enum" in schema:
                word = _word(value)
                return word if word in schema["enum"] else value
            case _:
                return value

    def _list(self, kind: Schema, value: Any, path: str) -> Any:
        if value is None or value == "":
            return value
        value = _from_text(value, list)
        values = value if isinstance(value, list) else [value]
        read = (self._value(kind, each, f"{path}[{number}]") for number, each in enumerate(values))
        return [each for each in read if not _is_left_out(kind, each)]


def _halves(value: Any, path: str) -> Iterator[str]:
    """Where a text holds a surrogate: no text that is stored, shown or written to a file can."""
    match value:
        case str() if not value.isascii() and _SURROGATE.search(value):
            yield path
        case dict():
            for name, each in value.items():
                yield from _halves(name, _below(path, visible(name)[:_MAX_NAME]))
                yield from _halves(each, _below(path, visible(name)[:_MAX_NAME]))
        case list():
            for number, each in enumerate(value):
                yield from _halves(each, f"{path}[{number}]")


def _from_text(value: Any, kind: type) -> Any:
    """What a text holds as JSON, where that is of the kind; else the value itself."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, kind) else value


def _only_text(schema: Schema) -> str | None:
    """The one field that an object must have, if it is a text: a bare text stands for it."""
    match schema.get("required"):
        case [str() as name] if schema["properties"][name].get("type") == "string":
            return name
    return None


def _values(schema: Schema) -> Schema | None:
    """Of what kind all values of an object are, where its names are free."""
    patterns = schema.get("patternProperties", {})
    return next(iter(patterns.values()), None)


def _as_text(kind: Schema, value: Any) -> Any:
    """A number, true or false as the text that it is in JSON."""
    return json.dumps(value) if kind.get("type") == "string" and isinstance(value, int | float) else value


def _is_left_out(kind: Schema, value: Any) -> bool:
    """Whether an optional value is an empty text that its field does not take, or an object of such."""
    if isinstance(value, dict) and kind.get("type") == "object" and "properties" in kind:
        return bool(value) and all(each in ("", None, False, [], {}) for each in value.values())
    return value == "" and not (kind.get("type") == "string" and _takes_empty_text(kind))


def _takes_empty_text(kind: Schema) -> bool:
    return not (kind.get("minLength") or "enum" in kind or "const" in kind or "format" in kind)


def _word(value: Any) -> str:
    return folded(value) if isinstance(value, str) else ""


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _unknown(name: str, known: Iterable[str]) -> str:
    spellings = {_folded(each): each for each in known}
    near = get_close_matches(_folded(name)[:_MAX_NAME], spellings, n=1)
    return f"there is no such field; did you mean {spellings[near[0]]}?" if near else "there is no such field"


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _path(location: tuple[str | int, ...]) -> str:
    """`env.NAME` and `files[3].path` rather than pydantic's own spelling."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path = _below(path, visible(part)[:_MAX_NAME])
    return path


def _message(problem: Any) -> str:
    match problem["type"]:
        case "missing":
            return "is required"
        case _:
            return str(problem["msg"]).removeprefix("Value error, ")


def _refusal(problems: Mapping[str, str]) -> RemitError:
    told = [{"field": field, "message": message} for field, message in problems.items()]
    message = "; ".join(f"{field}: {text}" for field, text in problems.items())
    return RemitError(Code.VALIDATION_ERROR, message, field=told[0]["field"], problems=told)
