"""Tolerant reading of tool arguments: forms that hosts and models send are converted to what the models expect.

The conversion follows the model's JSON schema alone: JSON in a text for an object or list, a bare value for a list of
one, an empty text for an omitted field, "true" for true, names in other spellings. What could mean two things is
refused.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from server.json_text import MAX_DEPTH, holds_too_many, is_too_deep, is_whole
from server.tasks.requests.fields import Request
from server.tasks.requests.problems import MOST, Problems, below, shown
from server.tasks.requests.synonyms import folded

R = TypeVar("R", bound=Request)
Schema = Mapping[str, Any]

OPTIONS = "options"
"""The name of the object in which rare fields are shown to models."""

HOST_FIELDS = {
    "wait_for_previous": "Gemini CLI: a field of its own in every tool's schema",
    "toolCallId": "n8n: its own id of the call",
    "random_string": "Cursor: a field for tools that have none",
    "security_context": "CrewAI: which of its agents calls",
}
"""Fields that hosts add to the arguments of any tool, with who adds them: ignored, unless a tool has such a field."""

_OTHER_NAMES = {"taskid": "id"}
"""Other names of fields, if no field has that name; without case, `_` and `-`."""

_MEANT = {
    "id": "job task uuid",
    "path": "file filename name",
    "message": "cmd code command commands comment content feedback goal input instruction instructions job prompt "
    "query reason reply request script task text",
    "workspace": "cwd directory dir folder path repo repository workdir workingdirectory",
    "title": "label name subject",
    "taskListId": "list name",
    "env": "environment variables vars",
    "files": "attachments uploads",
    "fromDate": "after since start startdate",
    "toDate": "before end enddate until",
    "dependsOn": "after blockedby dependencies deps prerequisites",
    "autoExecute": "approval approve autoapprove requireapproval",
    "status": "phase state states",
    "query": "filter keyword keywords q search term text words",
    "limit": "count max maxresults pagesize size top",
    "cursor": "nextpage nextpagetoken pagetoken",
    "waitSeconds": "block timeout wait",
    "maxChars": "limit maxlength",
    "afterEvent": "since",
    "outcome": "action answer approve approved confirm decision",
    "progressMessage": "comment message note",
    "result": "answer output summary",
    "cascade": "force recursive",
}
"""Words that may mean a field, folded. An error suggests the field; the word is not accepted."""

_LIKENESS = 0.65
"""Similarity (`difflib`) from which an error suggests a field's name: `timeout` for timeoutSeconds."""

_MAX_MISSPELT = 80
"""Characters of an unknown name that are compared with known ones."""

_HALF = "holds half of a surrogate pair, which is no character: send whole ones"
_SURROGATE = re.compile("[\ud800-\udfff]")

_MAX_FIELDS = 200
"""Entries of an object with known fields: five times as many as any has."""


def read(model: type[R], arguments: Any) -> R:
    """Return the request that the arguments of a call stand for.

    Raises RemitError, VALIDATION_ERROR with `field` and `problems`: what is wrong, unknown fields first.
    """
    reader = _Reader()
    understood = reader.object(shape(model), reader.ungrouped(model, arguments), "")
    if reader.is_too_long:
        raise reader.problems.refusal()
    reader.check_texts(understood)
    try:
        request = model.model_validate(understood)
    except ValidationError as error:
        reader.problems.take(error)
        raise reader.problems.refusal() from None
    if reader.problems:
        raise reader.problems.refusal()
    return request


@cache
def shape(model: type[BaseModel]) -> Schema:
    """Return the JSON schema of a request, references inlined, without the null of optional fields."""
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
    """Reader of one call's arguments; what it cannot convert is left for the model to refuse."""

    def __init__(self) -> None:
        self.problems = Problems()
        self.is_too_long = False
        """Whether a list or an object had too many entries to be read."""

    def check_texts(self, understood: Any) -> None:
        """Raise RemitError, as `read` does, for values nested too deeply and for texts with lone surrogates."""
        if is_too_deep(understood):
            self.problems.add("arguments", f"objects and lists stand more than {MAX_DEPTH} deep within each other")
            raise self.problems.refusal()
        if not is_whole(understood):
            for path in islice(_halves(understood), MOST):
                self.problems.add(path, _HALF)
            raise self.problems.refusal()

    def ungrouped(self, model: type[Request], arguments: Any) -> Any:
        """Return the arguments with the fields of `options` moved to the top; both places are accepted."""
        given = _from_text(arguments, dict)
        if not model.grouped or not isinstance(given, dict) or OPTIONS not in given:
            return given
        options = _from_text(given[OPTIONS], dict) or {}
        top = {name: value for name, value in given.items() if name != OPTIONS}
        if not isinstance(options, dict):
            self.problems.add(OPTIONS, "must be an object")
            return top
        for name in options:
            if top.get(name) not in ("", None, options[name]):
                self.problems.add(below(OPTIONS, shown(name)), "is given at the top too, with another value: give one")
        return top | options

    def object(self, schema: Schema, value: Any, path: str) -> Any:
        """Convert an object: with known fields, with free names and values of one type, or free."""
        value = _from_text(value, dict)
        if isinstance(value, str) and (name := _only_text(schema)):
            value = {name: value}
        if not isinstance(value, dict):
            return value
        known = "properties" in schema
        if self._has_too_many(value, _MAX_FIELDS if known else schema.get("maxProperties"), path):
            return {}
        if known:
            return self._fields(schema, value, path)
        kind = _values(schema)
        return {name: _as_text(kind, each) for name, each in value.items()} if kind else value

    def _fields(self, schema: Schema, given: Mapping[str, Any], path: str) -> dict[str, Any]:
        named = self._named(schema["properties"], given, path)
        required = schema.get("required", ())
        self._check_ignored(given, [name for name in required if name not in named], path)
        found = {}
        for name, each in named.items():
            kind = schema["properties"][name]
            value = self._value(kind, each, below(path, name))
            if name in required or not _is_left_out(kind, value):
                found[name] = value
        return found

    def _named(self, known: Schema, given: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Return the values by field name, with other spellings resolved."""
        spellings = {_folded(name): name for name in known}
        found: dict[str, Any] = {name: value for name, value in given.items() if name in known}
        for name, value in given.items():
            if name in known or name in HOST_FIELDS:
                continue
            meant = spellings.get(_folded(name)) or spellings.get(_OTHER_NAMES.get(_folded(name), ""))
            if meant is None:
                hint = "" if self.problems.are_enough else _nearest(name, known)
                self.problems.add(below(path, shown(name)), f"there is no such field{hint}")
            elif found.setdefault(meant, value) != value:
                self.problems.add(
                    below(path, shown(name)), f"is another spelling of {meant}, which is given too: give one"
                )
        return found

    def _check_ignored(self, given: Mapping[str, Any], missing: Sequence[str], path: str) -> None:
        """Add a problem for an ignored host field that may have been meant for a missing one."""
        for name in HOST_FIELDS:
            if name in given and (hint := _nearest(name, missing)):
                self.problems.add(below(path, name), f"is ignored, since some hosts add it to every call{hint}")

    def _value(self, schema: Schema, value: Any, path: str) -> Any:
        match schema.get("type"):
            case "object":
                return self.object(schema, value, path)
            case "array":
                return self._list(schema, value, path)
            case "boolean":
                return {"true": True, "false": False}.get(_word(value), value)
            case "string" if "enum" in schema:
                return {_folded(each): each for each in schema["enum"]}.get(_folded(_word(value)), value)
            case _:
                return value

    def _list(self, schema: Schema, value: Any, path: str) -> Any:
        if value is None or value == "":
            return value
        kind = schema["items"]
        value = _from_text(value, list)
        if isinstance(value, str) and "enum" in kind:
            value = value.split(",")
        values = value if isinstance(value, list) else [value]
        if self._has_too_many(values, schema.get("maxItems"), path):
            return []
        read = (self._value(kind, each, f"{path}[{number}]") for number, each in enumerate(values))
        return [each for each in read if not _is_left_out(kind, each)]

    def _has_too_many(self, values: Sized, most: int | None, path: str) -> bool:
        if most is None or len(values) <= most:
            return False
        self.is_too_long = True
        self.problems.add(path or "arguments", f"has {len(values)} entries, at most {most} are allowed")
        return True


def _halves(value: Any) -> Iterator[str]:
    """Yield the paths of texts with lone surrogates, outer ones first; these can be neither stored nor shown."""
    left = deque([(value, "")])
    while left:
        value, path = left.popleft()
        match value:
            case str() if _SURROGATE.search(value):
                yield path
            case dict():
                for name, each in value.items():
                    left += [(name, below(path, shown(name))), (each, below(path, shown(name)))]
            case list():
                left += [(each, f"{path}[{number}]") for number, each in enumerate(value)]


def _from_text(value: Any, kind: type) -> Any:
    """Return the JSON in a text if it is of the type; else the value itself."""
    if not isinstance(value, str) or holds_too_many(value):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, kind) else value


def _only_text(schema: Schema) -> str | None:
    """Return the only required field of an object if it is a text: a bare text stands for it."""
    match schema.get("required"):
        case [str() as name] if schema["properties"][name].get("type") == "string":
            return name
    return None


def _values(schema: Schema) -> Schema | None:
    """Return the schema of an object's values, if its names are free."""
    patterns = schema.get("patternProperties", {})
    return next(iter(patterns.values()), None)


def _as_text(kind: Schema, value: Any) -> Any:
    """Return a number, true or false as its JSON text where a text is expected."""
    return json.dumps(value) if kind.get("type") == "string" and isinstance(value, int | float) else value


def _is_left_out(kind: Schema, value: Any) -> bool:
    """Return whether an optional value is an empty text that its field refuses, or an object of empty values."""
    if isinstance(value, dict) and kind.get("type") == "object" and "properties" in kind:
        return bool(value) and all(each in ("", None, False, [], {}) for each in value.values())
    return value == "" and not (kind.get("type") == "string" and _takes_empty_text(kind))


def _takes_empty_text(kind: Schema) -> bool:
    return not (kind.get("minLength") or "enum" in kind or "const" in kind or "format" in kind)


def _word(value: Any) -> str:
    return folded(value) if isinstance(value, str) else ""


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _nearest(name: str, known: Iterable[str]) -> str:
    spellings = {_folded(each): each for each in known}
    folded_name = _folded(name[:_MAX_MISSPELT])
    meant = [field for field, words in _MEANT.items() if folded_name in words.split() and field in spellings.values()]
    near = [spellings[each] for each in get_close_matches(folded_name, spellings, n=1, cutoff=_LIKENESS)]
    return f"; did you mean {found[0]}?" if (found := meant or near) else ""
