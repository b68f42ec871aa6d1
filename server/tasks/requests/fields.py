"""Field types and limits shared by the request models."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import GroupedMetadata
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from server import patterns
from server.characters import written_out
from server.limits import DAY, PATH_MAX
from server.tasks.requests.synonyms import outcome_meant, status_meant
from storage.records.states import OUR_REASONS, Status

MAX_MESSAGE = 100_000
"""Characters in one message."""

MAX_ENVIRONMENT_BYTES = 64 * 1024
"""Names and values of env and secrets together, in UTF-8."""

MAX_METADATA = 16_384
"""Characters of metadata as JSON: it comes back with every look at the task."""

LEAST_ANSWER = 5_000
"""Characters in which get_task can show every field of any task, each shortened as far as it goes; most need 1,500."""

MAX_OFFSET = 20_000
"""Tasks that can be skipped by offset: counting off so many takes 20 ms. A cursor has no such limit."""

MAX_TITLE = 500
"""Characters."""

MAX_DESCRIPTION = 10_000
"""Characters, as of the reason for a decision, and of a call as a host's prompt shows it."""

MAX_LABEL = 255
"""Characters of a name chosen elsewhere, or of an idempotency key."""

MAX_CALLS = 1_000_000
"""Tool calls after which a task can be made to pause."""

MAX_NAME = 255
"""Characters of a variable's name."""

MAX_DEPENDENCIES = 10_000
"""Ids in one request."""

MAX_VARIABLES = 4_000
"""Variables of one kind in one request, or names of secrets: MAX_ENVIRONMENT_BYTES hold few more."""

MAX_WORDS = 50
"""Words in a list of choices; there are a dozen, and one may be repeated."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""The categories Cc, Zl and Zp of Unicode, and what changes the direction of text."""


@dataclass(frozen=True, slots=True)
class AtMost(GroupedMetadata):
    """A count of at least 1; a larger one than `most` is read as `most`."""

    most: int

    def __iter__(self) -> Iterator[object]:
        yield Field(ge=1)
        yield AfterValidator(partial(min, self.most))
        yield WithJsonSchema({"type": "integer", "minimum": 1, "maximum": self.most})


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL")
    return value


def _one_line(value: str) -> str:
    """Return the text with single spaces for all white space, so that it cannot pose as another line of a list."""
    return _no_controls(" ".join(value.split()))


def _no_controls(value: str) -> str:
    if found := _CONTROL.search(value):
        raise ValueError(f"must not contain the control character {written_out(found[0])}")
    return value


def _not_the_servers_own(reason: str) -> str:
    if reason in OUR_REASONS:
        raise ValueError(f"{reason} is what this server itself says; use other words")
    return reason


def _name_fits(name: str) -> str:
    if len(name) > MAX_NAME:
        raise ValueError(f"is longer than {MAX_NAME} characters")
    return name


def _metadata_fits(metadata: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(metadata, allow_nan=False)) > MAX_METADATA:
        raise ValueError(f"is longer than {MAX_METADATA} characters of JSON")
    return metadata


def _first_moment(text: Any) -> int:
    return _moment(text)


def _last_moment(text: Any) -> int:
    """Return the last microsecond of the day or of the millisecond, the finest time that is shown."""
    return _moment(text) + (_DAY_US if _is_date(text) else 1000) - 1


def _is_date(text: Any) -> bool:
    try:
        date.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    return True


def _moment(text: Any) -> int:
    """Return microseconds since the epoch; a time without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError("must be a date or a time as in ISO 8601, like 2026-02-01T00:00:00Z") from None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC, microsecond=moment.microsecond // 1000 * 1000)
    return (moment - _EPOCH) // timedelta(microseconds=1)


_DAY_US = DAY * 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"})
FromDate = Annotated[int, BeforeValidator(_first_moment), _DATE_SCHEMA]
ToDate = Annotated[int, BeforeValidator(_last_moment), _DATE_SCHEMA]

Metadata = Annotated[dict[str, Any], AfterValidator(_metadata_fits)]
Name = Annotated[str, Field(pattern=patterns.NAME), AfterValidator(_name_fits)]
"""The name of a variable."""

Value = Annotated[str, AfterValidator(_no_nul)]
_PLAIN = WithJsonSchema({"type": "string", "minLength": 1})  # how long an id may be is nothing a model need read
Id = Annotated[str, Field(min_length=1, max_length=64), _PLAIN]
TaskId = Annotated[Id, Field(description="the task's")]
"""The id of the task that a request is about."""

Line = Annotated[str, AfterValidator(_one_line)]
"""A text on one line."""

Label = Annotated[str, AfterValidator(_no_nul), Field(min_length=1, max_length=MAX_LABEL), _PLAIN]
"""A name chosen elsewhere: of a task list, or of an agent that is not this server's."""

Cleared = Annotated[str, AfterValidator(_no_nul), Field(max_length=MAX_LABEL), WithJsonSchema({"type": "string"})]
"""A label; an empty text clears it."""

PathText = Annotated[str, Field(min_length=1, max_length=PATH_MAX), AfterValidator(_no_nul), _PLAIN]
"""A path."""


ConfiguredName = Annotated[Name, _PLAIN]
"""The name of a secret in the operator's settings."""

Reason = Annotated[Line, AfterValidator(_not_the_servers_own), Field(min_length=1, max_length=MAX_TITLE)]

_STATUS_WORDS = Literal[
    "pending",
    "blocked",
    "running",
    "awaiting_approval",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "in_progress",
    "executing",
    "queued",
    "stopped",
    "error",
]
StatusWord = Annotated[
    _STATUS_WORDS, BeforeValidator(status_meant), WithJsonSchema({"type": "string", "enum": [*Status]})
]
"""A status in the words of any of the source APIs; schemas show those of this server."""

_REPORTED = [status for status in Status if status not in (Status.AWAITING_APPROVAL, Status.PAUSED)]
_REPORTED_WORDS = Literal[
    "pending",
    "blocked",
    "running",
    "completed",
    "failed",
    "cancelled",
    "in_progress",
    "executing",
    "queued",
    "stopped",
    "error",
]
ReportedWord = Annotated[
    _REPORTED_WORDS, BeforeValidator(status_meant), WithJsonSchema({"type": "string", "enum": _REPORTED})
]

Outcome = Annotated[Literal["proceed_once", "proceed_always", "cancel"], BeforeValidator(outcome_meant)]


class Request(BaseModel):
    """The base of all requests: camelCase on the wire, unknown fields refused."""

    grouped: ClassVar[frozenset[str]] = frozenset()
    """Rare fields, shown to models in an object `options`; accepted at the top as well."""

    unlisted: ClassVar[frozenset[str]] = frozenset()
    """Fields that models are not shown: they exist for other APIs, and models have better ones."""

    unstored: ClassVar[frozenset[str]] = frozenset()
    """Fields whose text may be a secret's value: it is not stored, or is a word that the server or its operator chose.
    In all others, a value is refused (`stored_texts`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data


def check_size(*variables: dict[str, str]) -> None:
    """Raise ValueError unless env and secrets together are small enough."""
    size = sum(len(name.encode()) + len(value.encode()) for each in variables for name, value in each.items())
    if size > MAX_ENVIRONMENT_BYTES:
        raise ValueError(f"env and secrets hold {size} bytes together, at most {MAX_ENVIRONMENT_BYTES} are allowed")
