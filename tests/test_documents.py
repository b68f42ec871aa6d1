"""The documents name files that exist, and names that these define."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")), *(ROOT / "docs").glob("*.md")]
MOVED = ROOT / "docs" / "moved.md"
SHORT = [ROOT / "CONTRIBUTING.md", *(ROOT / "docs" / name for name in ("architecture.md", "glossary.md"))]
"""The documents for people who work on the code."""

IGNORED = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
PATH = re.compile(r"(?<![\w./~-])(?:server|storage|templates|tests|docs|examples|benchmarks)/[\w./*-]*[\w/*]")
SYMBOL = re.compile(rf"({PATH.pattern}\.py):([A-Za-z_][\w.]*\w)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    named = [path.rstrip("/") for path in PATH.findall(_text(document))]
    assert [path for path in named if path not in IGNORED and not any(ROOT.glob(path))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_of_a_document_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", SHORT, ids=lambda document: document.name)
def test_every_name_that_a_document_gives_behind_a_path_is_defined_there(document: Path) -> None:
    named = SYMBOL.findall(document.read_text())
    assert named
    assert [f"{path}:{name}" for path, name in named if name not in _definitions(ROOT / path)] == []


@pytest.mark.parametrize("document", SHORT, ids=lambda document: document.name)
def test_no_line_of_a_document_is_too_long(document: Path) -> None:
    assert [line for line in document.read_text().splitlines() if len(line) > 120] == []


def _text(document: Path) -> str:
    """Return what a document says of today; the first column of the table of moves names what was."""
    text = document.read_text()
    return re.sub(r"^\|[^|]*\|", "", text, flags=re.MULTILINE) if document == MOVED else text


def _definitions(file: Path) -> set[str]:
    """Return the names that a module defines, those of the members of a class behind the name of the class."""
    return {name for node in ast.parse(file.read_text()).body for name in _names(node, "")}


def _names(node: ast.stmt, prefix: str) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield f"{prefix}{node.name}"
        case ast.ClassDef():
            yield f"{prefix}{node.name}"
            for member in node.body:
                yield from _names(member, f"{prefix}{node.name}.")
        case ast.Assign():
            yield from (f"{prefix}{target.id}" for target in node.targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield f"{prefix}{name}"
        case _:
            return
