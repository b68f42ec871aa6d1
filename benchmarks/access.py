"""The two ways to the tasks of a population: the store itself, and the tools of a server."""

import random
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from anyio.from_thread import BlockingPortal, start_blocking_portal

from benchmarks import database
from benchmarks.client import Window
from benchmarks.contestants import Home
from benchmarks.database import LOCAL
from benchmarks.finding import Find
from benchmarks.measure import milliseconds
from server.tasks.views import list_view
from storage.records.lists import Total
from storage.records.states import Status
from storage.records.tasks import NOBODY, Update
from storage.sqlite.store import SqliteStore, open_store

LIST = "project-0"
"""The list whose graph is shown."""

_MESSAGE = "echo 'a line of output'"


@dataclass(frozen=True, slots=True)
class Population:
    """So many tasks in a state folder."""

    count: int
    home: Home
    finds: Mapping[str, Find]
    ids: list[str]
    """Of some of the tasks, from all over."""

    def any(self) -> str:
        """The id of one of the tasks."""
        return random.choice(self.ids)


@dataclass(frozen=True, slots=True)
class Look:
    """A page of a list: its first, or one in the middle by cursor."""

    find: str
    at_middle: bool

    def __str__(self) -> str:
        return f"{self.find}: middle" if self.at_middle else self.find


class Access(Protocol):
    """A way to tasks. Whatever is done answers with the milliseconds it took."""

    name: str

    def rows(self, each: Population, look: Look, limit: int) -> int:
        """How many rows a page of this length has."""
        ...

    def page(self, each: Population, look: Look, limit: int) -> float:
        """One page with its total."""
        ...

    def get(self, each: Population) -> float:
        """Any of the tasks."""
        ...

    def graph(self, each: Population) -> float:
        """How the tasks of one list hang together."""
        ...

    def create(self, each: Population) -> float:
        """One task more, that nobody here executes."""
        ...

    def retitle(self, each: Population) -> float:
        """Another title for any of the tasks."""
        ...

    def report(self, each: Population) -> float:
        """A task that was just created is done."""
        ...


class InStore:
    """The operations of the store, each timed in its own event loop."""

    name = "store"

    def __init__(self, portal: BlockingPortal, stores: Mapping[int, SqliteStore]) -> None:
        self._portal = portal
        self._stores = stores

    def rows(self, each: Population, look: Look, limit: int) -> int:
        """How many rows a page of this length has."""
        return len(self._portal.call(self._page, each, look, limit).tasks)

    def page(self, each: Population, look: Look, limit: int) -> float:
        """One page with its total."""
        return self._timed(self._page(each, look, limit))

    def get(self, each: Population) -> float:
        """Any of the tasks."""
        return self._timed(self._stores[each.count].snapshot(LOCAL, each.any()))

    def graph(self, each: Population) -> float:
        """How the tasks of one list hang together."""
        return self._timed(self._stores[each.count].graph(LOCAL, LIST, 50, 0))

    def create(self, each: Population) -> float:
        """One task more, that nobody here executes."""
        new = database.new_task(_MESSAGE, database.now(), agent=NOBODY)
        return self._timed(self._stores[each.count].create_task(LOCAL, new))

    def retitle(self, each: Population) -> float:
        """Another title for any of the tasks."""
        return self._timed(self._stores[each.count].update(LOCAL, each.any(), Update(columns={"title": _title()})))

    def report(self, each: Population) -> float:
        """A task that was just created is done."""
        new = database.new_task(_MESSAGE, database.now(), agent=NOBODY)
        self._portal.call(self._stores[each.count].create_task, LOCAL, new)
        done = Update(columns={}, status=Status.COMPLETED)
        return self._timed(self._stores[each.count].update(LOCAL, new.id, done))

    async def _page(self, each: Population, look: Look, limit: int) -> Any:
        find = each.finds[look.find]
        after, known = (find.middle, Total(0, False)) if look.at_middle else (None, None)
        return await self._stores[each.count].find(LOCAL, list_view.wanted(find.request), limit, 0, after, known)

    def _timed(self, action: Coroutine[Any, Any, object]) -> float:
        return float(self._portal.call(_timed, action))


class ThroughTools:
    """The tools of servers, as a window sees them."""

    name = "tool"

    def __init__(self, windows: Mapping[int, Window]) -> None:
        self._windows = windows

    def rows(self, each: Population, look: Look, limit: int) -> int:
        """How many rows a page of this length has."""
        return int(self._page(each, look, limit)["count"])

    def page(self, each: Population, look: Look, limit: int) -> float:
        """One page with its total."""
        return milliseconds(lambda: self._page(each, look, limit))

    def get(self, each: Population) -> float:
        """Any of the tasks."""
        return self._timed(each, "get_task", id=each.any())

    def graph(self, each: Population) -> float:
        """How the tasks of one list hang together."""
        return self._timed(each, "get_task_graph", taskListId=LIST)

    def create(self, each: Population) -> float:
        """One task more, that nobody here executes."""
        return self._timed(each, "create_task", message=_MESSAGE, agentId=NOBODY)

    def retitle(self, each: Population) -> float:
        """Another title for any of the tasks."""
        return self._timed(each, "update_task", id=each.any(), title=_title())

    def report(self, each: Population) -> float:
        """A task that was just created is done."""
        task = self._windows[each.count].call("create_task", message=_MESSAGE, agentId=NOBODY)["id"]
        return self._timed(each, "update_task", id=task, status="completed")

    def _page(self, each: Population, look: Look, limit: int) -> dict[str, Any]:
        find = each.finds[look.find]
        place = {"cursor": find.cursor()} if look.at_middle else {}
        return self._windows[each.count].call("list_tasks", limit=limit, **find.arguments, **place)

    def _timed(self, each: Population, tool: str, **arguments: Any) -> float:
        return milliseconds(lambda: self._windows[each.count].call(tool, **arguments))


@contextmanager
def in_store(populations: list[Population]) -> Iterator[Access]:
    """The stores of these populations."""
    with start_blocking_portal() as portal, ExitStack() as stack:

        def opened(path: Path) -> SqliteStore:
            return stack.enter_context(portal.wrap_async_context_manager(open_store(path)))

        yield InStore(portal, {each.count: opened(each.home.path / "remit.db") for each in populations})


@contextmanager
def through_tools(populations: list[Population]) -> Iterator[Access]:
    """A server on each of these populations, with one window."""
    with ExitStack() as stack:
        yield ThroughTools({each.count: stack.enter_context(each.home.window()) for each in populations})


async def _timed(action: Coroutine[Any, Any, object]) -> float:
    start = time.perf_counter()
    await action
    return (time.perf_counter() - start) * 1000


def _title() -> str:
    return f"title {random.random()}"
