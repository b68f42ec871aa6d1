"""The table as people read it: docs/compatibility.md whole, and a few lines of it in the README."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.behaviours.marks import ROOT, Mark, marks
from tests.behaviours.pages import PAGES
from tests.behaviours.record import Api, Behaviour, Kind, Page, Until
from tests.behaviours.table import BEHAVIOURS

README = ROOT / "README.md"
WHOLE = ROOT / "docs" / "compatibility.md"

BEGIN = "<!-- made by `make compatibility` -->"
END = "<!-- until here -->"

_INTRODUCTION = """\
# Compatibility

What the pages of three task APIs say, and how remit does it. Names are in camelCase throughout. Each line names the
tests that show it. Made from `tests/behaviours/` by `make compatibility`.
"""


def texts() -> dict[Path, str]:
    """Return what both files should hold."""
    return {WHOLE: whole(BEHAVIOURS, marks(ROOT / "tests")), README: _with_section(README.read_text("utf-8"))}


def whole(behaviours: Sequence[Behaviour], found: Sequence[Mark]) -> str:
    """Return every behaviour, page by page."""
    tests: dict[str, list[Mark]] = defaultdict(list)
    for mark in dict.fromkeys(found):
        tests[mark.id].append(mark)
    lines = [_INTRODUCTION]
    for page, of_page in _by_page(behaviours).items():
        lines += [f"## {page.name} (`{page.api}`)\n", "| behaviour | as the page says | remit | shown by |"]
        lines += ["|---|---|---|---|", *(_line(behaviour, tests[behaviour.id]) for behaviour in of_page), ""]
    return "\n".join(lines)


def section(behaviours: Sequence[Behaviour]) -> str:
    """Return one line for each API."""
    lines = ["| API | pages | the same | differently | deferred: waits for |", "|---|---|---|---|---|"]
    lines += [_summary(api, [each for each in behaviours if api in _apis(each)]) for api in Api]
    return "\n".join(lines)


def _by_page(behaviours: Sequence[Behaviour]) -> Mapping[Page, list[Behaviour]]:
    found: dict[Page, list[Behaviour]] = defaultdict(list)
    for behaviour in behaviours:
        for page in behaviour.pages:
            found[page].append(behaviour)
    return {page: found[page] for page in PAGES if page in found}


def _line(behaviour: Behaviour, tests: Sequence[Mark]) -> str:
    how = behaviour.why if behaviour.kind is Kind.DEPARTS else behaviour.kind
    if behaviour.kind is Kind.DEFERRED:
        how = f"deferred: waits for {behaviour.why}"
    shown = "<br>".join(f"[{_claim(mark)}](../{mark.file})" for mark in tests)
    return f"| `{behaviour.id}` | {behaviour.says} | {how} | {shown} |"


def _claim(mark: Mark) -> str:
    return (mark.test or "").removeprefix("test_").replace("_", " ")


def _summary(api: Api, behaviours: Sequence[Behaviour]) -> str:
    pages = {page for behaviour in behaviours for page in behaviour.pages if page.api is api}
    kinds = Counter(behaviour.kind for behaviour in behaviours)
    waits = Counter(behaviour.why for behaviour in behaviours if behaviour.kind is Kind.DEFERRED)
    deferred = ", ".join(f"{until} ({waits[until]})" for until in Until if waits[until])
    return f"| `{api}` | {len(pages)} | {kinds[Kind.SAME]} | {kinds[Kind.DEPARTS]} | {deferred} |"


def _apis(behaviour: Behaviour) -> Iterator[Api]:
    return (page.api for page in behaviour.pages)


def _with_section(readme: str) -> str:
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section(BEHAVIOURS)}\n{END}{after}"
