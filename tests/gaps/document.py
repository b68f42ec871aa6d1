"""What the tiers publish as their gaps, as a table: the same words that `remit doctor` and `list_agents` say."""

from collections.abc import Iterator, Mapping

from server.runner.monitoring import usage
from server.runner.sandbox import Name
from server.runner.tiers import bubblewrap, supervised
from tests.behaviours.marks import ROOT

SECURITY = ROOT / "SECURITY.md"

BEGIN = "<!-- made by `make security` -->"
END = "<!-- until here -->"

TIERS: tuple[Name, ...] = ("namespaces", "landlock", "off")

_NEWER_LINUX = "before Linux 6.12"
_ROOT = "as root"
_NO_GROUPS = "without control groups"
_ALWAYS = "yes"


def text() -> str:
    """What SECURITY.md should hold."""
    before, _, rest = SECURITY.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    """A line for each gap: of which tiers it is one, and on which machines."""
    columns = {tier: dict(_of(tier)) for tier in TIERS}
    lines = [f"| not held | {' | '.join(TIERS)} |", f"|---|{'---|' * len(TIERS)}"]
    lines += [_line(gap, columns) for gap in dict.fromkeys(gap for tier in TIERS for gap in columns[tier])]
    return "\n".join(lines)


def _line(gap: str, columns: Mapping[Name, Mapping[str, str]]) -> str:
    return f"| {gap} | {' | '.join(columns[tier].get(gap, '') for tier in TIERS)} |"


def _of(tier: Name) -> Iterator[tuple[str, str]]:
    """The gaps of a tier, each with the machines that have it."""
    match tier:
        case "namespaces":
            yield from ((gap, _ALWAYS) for gap in bubblewrap.GAPS)
            yield bubblewrap.ROOT_GAP, _ROOT
            yield bubblewrap.ABSTRACT_GAP, _NEWER_LINUX
        case "landlock":
            yield from ((gap, _ALWAYS) for gap in supervised.LANDLOCK_GAPS)
            yield supervised.SIGNAL_GAP, _NEWER_LINUX
        case "off":
            yield from ((gap, _ALWAYS) for gap in supervised.OFF_GAPS)
    yield usage.ON_DISK_GAP, _ALWAYS
    yield usage.NO_GROUPS_GAP, _NO_GROUPS
    yield from ((gap, f"{_NO_GROUPS} for it") for gap in usage.GAPS.values())
    if tier != "landlock":  # which root may not use
        yield usage.ROOT_GAP, f"{_ROOT}, {_NO_GROUPS}"
