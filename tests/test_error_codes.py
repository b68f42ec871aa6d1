"""Error codes: one enum has them all, and the rest of the code names its members."""

import ast
from collections.abc import Iterator
from pathlib import Path

from server.errors import Code

ROOT = Path(__file__).parent.parent
ENUM = ROOT / "server/errors.py"


def test_no_error_code_is_written_as_a_string() -> None:
    modules = [path for package in ("server", "storage", "templates") for path in (ROOT / package).rglob("*.py")]
    assert [found for module in modules if module != ENUM for found in _written(module)] == []


def _written(module: Path) -> Iterator[str]:
    """Yield the error codes that a module has as strings, each with its line."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in Code.__members__:
            yield f"{module}:{node.lineno}: {node.value}"
