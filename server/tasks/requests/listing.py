"""The request for a list of tasks: filters, and two ways of paging."""

from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator
from pydantic.alias_generators import to_camel

from server.limits import LIST_PAGE, MAX_LIST_PAGE
from server.tasks.requests.fields import (
    MAX_OFFSET,
    MAX_WORDS,
    AtMost,
    FromDate,
    Id,
    Label,
    Request,
    StatusWord,
    ToDate,
    Value,
)
from storage.records.states import Status, statuses

_MAX_PER_PAGE = 50

# Models page by cursor, and read dependencies from a graph.
_FOR_PROGRAMS = frozenset(
    """
    assignedAgentId dependsOn includeDetails internalStatus offset page perPage toDate triggeringAgentId userId
    """.split()
)


class ListTasks(Request):
    """A request for a page of tasks, most recently active first."""

    unlisted = _FOR_PROGRAMS

    limit: Annotated[int, AtMost(MAX_LIST_PAGE)] = Field(
        LIST_PAGE, description=f"default {LIST_PAGE}, at most {MAX_LIST_PAGE}"
    )
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="to skip")
    cursor: str | None = Field(None, min_length=1, max_length=500, description="nextCursor of the last page")
    page: int | None = Field(None, ge=1)
    per_page: Annotated[int, AtMost(_MAX_PER_PAGE)] = 20
    status: list[StatusWord] = Field([], max_length=MAX_WORDS, description="one or several")
    task_list_id: Label | None = Field(None, description="of this list")
    assigned_agent_id: Label | None = Field(None, description="done by")
    agent_id: Label | None = Field(None, description="of this agent")
    user_id: Label | None = None
    parent_task_id: Id | None = Field(None, description="part of this task")
    triggering_agent_id: Label | None = None
    internal_status: Label | None = None
    from_date: FromDate | None = Field(None, description="created then or later")
    to_date: ToDate | None = Field(None, description="created then or before")
    query: Value | None = Field(None, min_length=1, max_length=1000, description="words in title and message")
    depends_on: Id | None = Field(None, description="who waits for this task")
    include_details: StrictBool = Field(False, description="with dependsOn")

    @model_validator(mode="after")
    def _one_style(self) -> Self:
        given = self._given
        for one, others in (("page", "offset cursor"), ("per_page", "limit offset cursor"), ("cursor", "offset")):
            if one in given and (other := given.intersection(others.split())):
                raise ValueError(f"{to_camel(one)}: does not go with {min(other)}; use one way of paging")
        return self

    @model_validator(mode="after")
    def _pages_are_near(self) -> Self:
        if self.page is not None and self.page * self.page_size > MAX_OFFSET:
            raise ValueError(f"page: pages reach only the first {MAX_OFFSET} tasks; go on with nextCursor")
        return self

    @model_validator(mode="after")
    def _query_has_words(self) -> Self:
        if self.query is not None and not self.words:
            raise ValueError("query: must contain a word to search for")
        return self

    @property
    def statuses(self) -> frozenset[Status]:
        """The statuses asked for, synonyms resolved; empty means all."""
        return frozenset().union(*map(statuses, self.status))

    @property
    def words(self) -> tuple[str, ...]:
        """The search words; a word has at least one letter or digit."""
        return tuple(word for word in (self.query or "").split() if any(map(str.isalnum, word)))

    @property
    def in_pages(self) -> bool:
        """Whether pages are asked for by number; a field at its default does not count."""
        others = {"limit", "offset", "cursor"} & self.model_fields_set
        return bool({"page", "per_page"} & self._given) or ("per_page" in self.model_fields_set and not others)

    @property
    def page_size(self) -> int:
        """Tasks on a page: `per_page`, or `limit` if only that was given."""
        return min(self.limit, _MAX_PER_PAGE) if "limit" in self._given else self.per_page

    @property
    def _given(self) -> set[str]:
        fields = type(self).model_fields
        return {field for field in self.model_fields_set if getattr(self, field) != fields[field].default}
