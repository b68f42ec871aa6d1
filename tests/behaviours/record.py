"""The record of one line of the table of behaviours."""

from dataclasses import dataclass
from enum import StrEnum


class Api(StrEnum):
    """The APIs whose behaviour remit has, by their routes."""

    TASKS = "/api/v1/tasks"
    ORGANIZATION = "/api/v3/organizations/{organisation}/ai/tasks"
    AGENT = "/v1/tasks"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of an API's documentation."""

    api: Api
    name: str


class Kind(StrEnum):
    """The ways in which remit treats what a page says."""

    SAME = "the same"
    DEPARTS = "differently"
    DEFERRED = "deferred"


class Until(StrEnum):
    """The preconditions of deferred behaviours."""

    HTTP = "HTTP"
    MODEL = "models chosen by the task"
    WORKFLOWS = "workflows"
    SCHEDULES = "schedules"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One thing that pages say a user can do or see. Tests that show it are marked with its id."""

    id: str
    says: str
    pages: tuple[Page, ...]
    kind: Kind
    why: str = ""
    """What remit does instead and for what reason; of a deferred one, what it waits for."""


def same(id: str, says: str, *pages: Page) -> Behaviour:
    """Return what remit does as the pages say; names in camelCase throughout."""
    return Behaviour(id, says, pages, Kind.SAME)


def departs(id: str, says: str, why: str, *pages: Page) -> Behaviour:
    """Return what remit does differently on purpose; a test shows what it does."""
    return Behaviour(id, says, pages, Kind.DEPARTS, why)


def deferred(id: str, says: str, until: Until, *pages: Page) -> Behaviour:
    """Return what remit does not do yet."""
    return Behaviour(id, says, pages, Kind.DEFERRED, until)
