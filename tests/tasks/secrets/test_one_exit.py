"""A run's texts reach the store and the answers through one module, which masks them.

The type checker refuses any text but `MaskedText` there. These tests see to it that no other module makes one.
"""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
MASKED = {"MaskedText", "MaskedArgs"}
NAMES = {*MASKED, "own_words"}

MAKERS = {
    "server/tasks/secrets/masking.py",
    # The storage's own words, of ids and states, and what was reported of a task that this server does not run.
    "storage/sqlite/operations/run_ends.py",
    "storage/sqlite/operations/updates.py",
    "storage/sqlite/relations/propagation.py",
}


def test_masking_alone_makes_masked_texts_of_what_runs_say() -> None:
    assert {module for module, tree in _modules() if any(_makes(node) for node in ast.walk(tree))} == MAKERS


def test_the_servers_own_words_are_written_where_they_are_used() -> None:
    calls = [
        (module, node)
        for module, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _name(node.func) == "own_words"
    ]
    assert calls
    assert [(module, ast.unparse(call)) for module, call in calls if not all(map(_is_own, call.args))] == []


@cache
def _modules() -> list[tuple[str, ast.Module]]:
    """Return the modules that name what these tests are about: their paths, and what they consist of."""
    paths = [path for package in ("server", "storage") for path in (ROOT / package).rglob("*.py")]
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    return [(path, ast.parse(text)) for path, text in texts.items() if any(name in text for name in NAMES)]


def _makes(node: ast.AST) -> bool:
    """Return whether a masked text is made here: by the type itself, or by a cast to it."""
    if not isinstance(node, ast.Call):
        return False
    return _name(node.func) in MASKED or (_name(node.func) == "cast" and ast.unparse(node.args[0]).strip("'") in MASKED)


def _name(expression: ast.expr) -> str:
    """Return the last part of a dotted name; empty for another expression."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _is_own(word: ast.expr) -> bool:
    """Return whether a text is written in the code, but for numbers (`:d`) and constants in it."""
    match word:
        case ast.Constant(value=str()):
            return True
        case ast.FormattedValue(format_spec=ast.JoinedStr(values=[ast.Constant(value="d")])):
            return True
        case ast.FormattedValue(value=ast.Name() | ast.Attribute() as constant) | (
            ast.Name() | ast.Attribute() as constant
        ):
            return _name(constant).isupper()
        case ast.JoinedStr():
            return all(map(_is_own, word.values))
        case _:
            return False
