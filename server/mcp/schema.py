"""JSON schemas of the tools: short, and within the strict subsets of OpenAI and Gemini.

Both accept `anyOf` with null for optional fields; lists of types, `const`, `$ref`, `patternProperties` and defaults are
refused by one or the other. Each schema is built once: that takes ten milliseconds, and a client may ask
repeatedly.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from server.tasks.requests.arguments import OPTIONS, shape
from server.tasks.requests.fields import Request

_KEPT = ("type", "description", "enum", "format")
_NULL = {"type": "null"}


@cache
def request_schema(model: type[Request]) -> dict[str, Any]:
    """Return the input schema of a tool. Optional fields accept null; errors tell lengths and limits.

    Optional fields within objects are left out: strict schemas do not allow any.
    """
    whole = shape(model)
    required = whole.get("required", [])
    shown = {name: _kept(each) for name, each in whole["properties"].items() if name not in model.unlisted}
    rare = {name: shown.pop(name) for name in list(shown) if name in model.grouped}
    if rare:
        shown[OPTIONS] = {"type": "object", "description": "rarely needed", "properties": rare}
    properties = {name: each if name in required else _nullable(each) for name, each in shown.items()}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


@cache
def answer_schema(view: Any) -> dict[str, Any]:
    """Return the output schema of a tool."""
    schema: dict[str, Any] = _structure(TypeAdapter(view).json_schema(mode="serialization"))
    return schema


def _kept(node: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: node[name] for name in _KEPT if name in node}
    if "items" in node:
        kept["items"] = {name: each for name, each in _kept(node["items"]).items() if name != "description"}
    if values := node.get("patternProperties"):
        (kind,) = values.values()
        kept["additionalProperties"] = _kept(kind)
    if "required" in node:
        kept["required"] = node["required"]
        kept["properties"] = {name: _kept(each) for name, each in node["properties"].items()}
    elif "properties" in node:
        kept |= _named_values(node)
    return kept


def _named_values(node: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an object of optional fields as a map of one value type, with the names in its description."""
    names = [f"{name}{_choices(each)}" for name, each in node["properties"].items()]
    (kind,) = {each["type"] for each in node["properties"].values()}
    description = f"{node['description']}: {', '.join(names)}"
    return {"description": description, "additionalProperties": {"type": kind}}


def _choices(node: Mapping[str, Any]) -> str:
    choices = [node["const"]] if "const" in node else node.get("enum", [])
    return f" ({'|'.join(choices)})" if choices else ""


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = {name: each for name, each in schema.items() if name != "description"}
    return {"description": schema.get("description", ""), "anyOf": [kind, _NULL]}


def _structure(node: Any) -> Any:
    """Return the parts of an answer's schema that programs need: no titles, descriptions or defaults."""
    if isinstance(node, list):
        return [_structure(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _structure(value) for name, value in node.items() if not _is_prose(name, value)}
    if "properties" in node:
        plain["properties"] = {name: _structure(value) for name, value in node["properties"].items()}
    return plain


def _is_prose(name: str, value: Any) -> bool:
    return name in ("title", "description", "default") and not isinstance(value, dict)
