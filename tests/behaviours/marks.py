"""The behaviours that each test shows, read from the tests' source, whichever of them are run."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.behaviours.record import Behaviour, Kind

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Mark:
    """`@pytest.mark.behaviour` with one id, and what it stands at."""

    id: str
    file: str
    """Relative to the root of the repository."""

    test: str | None
    """The name of the test function; None where the mark stands at none and says nothing."""


def marks(folder: Path, root: Path = ROOT) -> list[Mark]:
    """Return the marks in the files of a folder; files of npm packages are left out."""
    files = [path for path in sorted(folder.rglob("*.py")) if "node_modules" not in path.parts]
    return [
        mark
        for path in files
        for mark in _marks(ast.parse(path.read_text(encoding="utf-8")), path.relative_to(root).as_posix())
    ]


def problems(behaviours: Sequence[Behaviour], found: Sequence[Mark]) -> list[str]:
    """Return what does not fit between the table and the tests."""
    kinds = {behaviour.id: behaviour.kind for behaviour in behaviours}
    later = [id for id, kind in kinds.items() if kind is Kind.DEFERRED]
    shown = {mark.id for mark in found if mark.test}
    return [
        *(f"{mark.file}: the mark {mark.id!r} stands at no test" for mark in found if not mark.test),
        *(f"{mark.file}: {mark.test}: there is no behaviour {mark.id!r}" for mark in found if mark.id not in kinds),
        *(f"{id}: no test shows it" for id in kinds if id not in shown and id not in later),
        *(f"{id}: is deferred, and a test shows it" for id in later if id in shown),
    ]


def _marks(tree: ast.Module, file: str) -> Iterator[Mark]:
    at_tests = {
        call: test.name
        for test in ast.walk(tree)
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_")
        for decorator in test.decorator_list
        for call in _calls(decorator)
    }
    for call in _calls(tree):
        for argument in call.args:
            yield Mark(str(ast.literal_eval(argument)), file, at_tests.get(call))


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the marks beneath a node, those of single parameters included."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "behaviour":
            yield inner
