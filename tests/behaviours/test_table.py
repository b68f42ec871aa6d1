"""The table of behaviours and the tests that show them fit each other, and the documents are made of them."""

import re
from pathlib import Path

import pytest

from tests.behaviours import document, pages
from tests.behaviours.marks import ROOT, Mark, marks, problems
from tests.behaviours.record import Kind, Until, deferred, departs, same
from tests.behaviours.table import BEHAVIOURS

SAMPLES = (
    same("a:kept", "it does", pages.LIST),
    departs("a:other", "it does", "it does not", pages.LIST),
    deferred("a:later", "it does", Until.HTTP, pages.LIST),
)
SHOWN = [Mark("a:kept", "f.py", "test_it"), Mark("a:other", "f.py", "test_it")]


def test_every_behaviour_has_a_test_and_every_mark_a_behaviour() -> None:
    assert problems(BEHAVIOURS, marks(ROOT / "tests")) == []


def test_every_id_stands_once_and_says_where_it_belongs() -> None:
    ids = [behaviour.id for behaviour in BEHAVIOURS]
    assert len(ids) == len(set(ids))
    assert [id for id in ids if not re.fullmatch(r"[a-z_]+(:\w+)+", id)] == []


def test_every_page_has_its_behaviours() -> None:
    assert {page for behaviour in BEHAVIOURS for page in behaviour.pages} == set(pages.PAGES)


@pytest.mark.parametrize("kind", [Kind.DEPARTS, Kind.DEFERRED])
def test_what_is_not_the_same_says_why(kind: Kind) -> None:
    assert [behaviour.id for behaviour in BEHAVIOURS if behaviour.kind is kind and not behaviour.why] == []


def test_what_fits_is_no_problem() -> None:
    assert problems(SAMPLES, SHOWN) == []


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        pytest.param(SHOWN[:1], "a:other: no test shows it", id="a behaviour without a test"),
        pytest.param(
            [*SHOWN, Mark("a:none", "f.py", "test_it")],
            "f.py: test_it: there is no behaviour 'a:none'",
            id="a test of no behaviour",
        ),
        pytest.param(
            [*SHOWN, Mark("a:later", "f.py", "test_it")],
            "a:later: is deferred, and a test shows it",
            id="a deferred behaviour with a test",
        ),
        pytest.param(
            [*SHOWN, Mark("a:kept", "f.py", None)],
            "f.py: the mark 'a:kept' stands at no test",
            id="a mark that no test has",
        ),
    ],
)
def test_what_does_not_fit_is_told(found: list[Mark], problem: str) -> None:
    assert problems(SAMPLES, found) == [problem]


def test_marks_are_found_at_tests_and_their_parameters_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.behaviour('of:module')\n"
        "@pytest.mark.behaviour('of:test', 'of:both')\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.behaviour('of:parameter'))])\n"
        "async def test_it(x): ...\n"
        "@pytest.mark.behaviour('of:helper')\n"
        "def helper(): ...\n"
    )
    found = {(mark.id, mark.test) for mark in marks(tmp_path, tmp_path)}
    assert found == {
        ("of:module", None),
        ("of:test", "test_it"),
        ("of:both", "test_it"),
        ("of:parameter", "test_it"),
        ("of:helper", None),
    }


@pytest.mark.parametrize("path", [document.README, document.WHOLE], ids=["the README", "the whole table"])
def test_the_documents_are_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == document.texts()[path], "run: make compatibility"


def test_the_table_of_the_readme_has_a_line_for_each_api() -> None:
    lines = document.section(SAMPLES).splitlines()
    assert lines[2] == "| `/api/v1/tasks` | 1 | 1 | 1 | HTTP (1) |"
    assert len(lines) == 5


def test_the_whole_table_names_the_tests_and_the_reasons() -> None:
    lines = document.whole(SAMPLES, SHOWN).splitlines()
    assert "| `a:kept` | it does | the same | [it](../f.py) |" in lines
    assert "| `a:other` | it does | it does not | [it](../f.py) |" in lines
    assert "| `a:later` | it does | deferred: waits for HTTP |  |" in lines
