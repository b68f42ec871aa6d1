"""The words for what pydantic refuses: each kind of error that settings and requests can raise has its own."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from server.agents.llm import tools
from server.config import Settings
from server.plain_words import in_words
from server.tasks.requests import listing, request_models
from server.tasks.requests.fields import Request

Error = tuple[str, Mapping[str, Any]]
"""A kind of error, and what it tells of what is allowed."""

PYDANTICS_OWN = "as pydantic says it"

KINDS = {
    "any": (),
    "bool": ("bool_type", "bool_parsing"),
    "default": (),
    "definition-ref": (),
    "definitions": (),
    "dict": ("dict_type",),
    "float": ("float_type", "float_parsing", "finite_number"),
    "function-after": (),
    "function-before": (),
    "function-wrap": (),
    "int": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "lax-or-strict": (),
    "list": ("list_type",),
    "literal": (),
    "model": ("model_type",),
    "model-field": (),
    "model-fields": ("missing", "extra_forbidden"),
    "nullable": (),
    "str": ("string_type", "string_unicode"),
    "tuple": ("tuple_type",),
    "union": (),
}
"""What a value of each type of schema is refused for, but for its constraints."""

CONSTRAINTS = {
    "ge": "greater_than_equal",
    "gt": "greater_than",
    "le": "less_than_equal",
    "lt": "less_than",
    "pattern": "string_pattern_mismatch",
    "expected": "literal_error",
}

FREE = frozenset(
    """
    allow_inf_nan cls computed_fields config custom_init default default_factory default_factory_takes_data function
    metadata model_name ref root_model schema_ref serialization serialization_alias strict strict_schema type
    validation_alias variadic_item_index
    """.split()
)
"""Properties of schemas for which nothing is refused; no request has a strict schema."""

BY_PYDANTIC = {"ByteSize._validate": "byte_size_unit"}
"""What functions of pydantic's own raise."""


def models() -> Iterator[type[BaseModel]]:
    yield Settings
    for module in (request_models, listing, tools):
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, BaseModel) and each not in (BaseModel, Request):
                yield each


def errors(schema: Mapping[str, Any]) -> Iterator[Error]:
    """Yield the kinds of errors for which a value can be refused."""
    yield from ((kind, {}) for kind in KINDS[schema["type"]])
    if schema["type"] == "union":
        # One without words of its own tells an error for each of its choices, and names them as no person does.
        yield schema.get("custom_error_type", "union"), {}
    if schema["type"] in ("union", "function-wrap"):  # a function that wraps another says all by itself
        return
    for name, value in schema.items():
        if name in ("min_length", "max_length"):
            yield length_error(schema["type"], name, value)
        elif name in CONSTRAINTS:
            said = " or ".join(map(repr, value)) if name == "expected" else value
            yield CONSTRAINTS[name], {name: said}
        elif name == "fields":
            yield from (error for field in value.values() for error in errors(field))
        elif name not in FREE:
            yield from (error for each in (value if isinstance(value, list) else [value]) for error in errors(each))
    function = schema.get("function", {}).get("function")
    if function is not None and function.__module__.startswith("pydantic"):
        yield BY_PYDANTIC[function.__qualname__], {}


def length_error(kind: str, name: str, value: int) -> Error:
    word = "too_short" if name == "min_length" else "too_long"
    if kind == "str":
        return f"string_{word}", {name: value}
    return word, {name: value, "field_type": {"dict": "Dictionary", "list": "List", "tuple": "Tuple"}[kind]}


def all_errors() -> list[Error]:
    found = (error for model in models() for error in errors(model.__pydantic_core_schema__))
    return list({str(error): error for error in found}.values())


def test_each_error_that_settings_and_requests_can_raise_is_told_in_words_of_our_own() -> None:
    found = all_errors()
    assert len(found) > 40
    assert [error for error in found if PYDANTICS_OWN in in_words(error[0], PYDANTICS_OWN, error[1])] == []
