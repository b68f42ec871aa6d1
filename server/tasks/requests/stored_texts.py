"""The texts of a request that are stored, found by its model, so that no field can be forgotten."""

import json
from collections.abc import Iterator
from typing import Any, get_args

from server.tasks.requests.fields import Request


def stored_texts(request: Request) -> Iterator[tuple[str, str]]:
    """Yield every stored text of a request as (field, text), such as ("files[0].path", "notes.txt").

    All fields count, also those of the models within it, except those that a model names in `unstored`: of these, only
    the names in a mapping are stored. A list of texts, and what is no text, is yielded as JSON.
    """
    return _of_model("", request)


def _of_model(prefix: str, model: Request) -> Iterator[tuple[str, str]]:
    for name, known in type(model).model_fields.items():
        field, value = f"{prefix}{known.alias}", getattr(model, name)
        if known.alias in model.unstored:
            yield from ((field, each) for each in (value if isinstance(value, dict) else ()))
        elif value is not None and _is_free(known.annotation):
            yield field, json.dumps(value, ensure_ascii=False)
        else:
            yield from _texts(field, value)


def _texts(field: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case str():
            yield field, value
        case Request():
            yield from _of_model(f"{field}.", value)
        case dict():
            for name, each in value.items():
                yield field, name
                yield from _texts(f"{field}.{name}", each)
        case [Request(), *_]:
            for number, each in enumerate(value):
                yield from _of_model(f"{field}[{number}].", each)
        case _:
            yield field, json.dumps(value, ensure_ascii=False)


def _is_free(annotation: Any) -> bool:
    """Return whether a field takes any JSON."""
    return annotation is Any or any(map(_is_free, get_args(annotation)))
