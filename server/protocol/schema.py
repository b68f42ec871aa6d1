"""JSON schemas as models read them: short, and without what says nothing."""

from typing import Any

from pydantic import BaseModel, TypeAdapter

_SILENT: dict[str, tuple[Any, ...]] = {
    "default": (None, [], {}, False, 0),
    "minLength": (1,),
    "minimum": (0, 1),
    "maximum": (2**53,),
    "additionalProperties": (True,),
}
"""What says nothing: a default of nothing, a count that is none, a length that nobody reaches."""


def request_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The input schema of a tool. Null is accepted for every optional field, but not advertised."""
    schema: dict[str, Any] = _slim(_without_null(model.model_json_schema(by_alias=True)))
    for each in (schema, *schema.get("$defs", {}).values()):
        each.pop("description", None)  # the tool's own, or the field's, says it
    return schema


def answer_schema(view: Any) -> dict[str, Any]:
    """The output schema of a tool."""
    schema: dict[str, Any] = _slim(TypeAdapter(view).json_schema(mode="serialization"), drop_descriptions=True)
    return schema


def _without_null(node: Any) -> Any:
    """The schema of what is worth sending: a field that may be null may as well be left out."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _without_null(value) for name, value in node.items()}
    kinds = [kind for kind in plain.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return plain
    del plain["anyOf"]
    return kinds[0] | plain


def _slim(node: Any, *, drop_descriptions: bool = False) -> Any:
    if isinstance(node, list):
        return [_slim(item, drop_descriptions=drop_descriptions) for item in node]
    if not isinstance(node, dict):
        return node
    slim = {
        name: _slim(value, drop_descriptions=drop_descriptions) for name, value in node.items() if _says(name, value)
    }
    if drop_descriptions and isinstance(slim.get("description"), str):
        del slim["description"]
    if "properties" in node:
        slim["properties"] = {
            name: _slim(value, drop_descriptions=drop_descriptions) for name, value in node["properties"].items()
        }
    return slim


def _says(name: str, value: Any) -> bool:
    return not (name == "title" and isinstance(value, str)) and not (name in _SILENT and value in _SILENT[name])
