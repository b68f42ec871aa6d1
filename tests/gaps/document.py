"""The table of gaps in SECURITY.md, in the words that `remit doctor` and `list_agents` use."""

from collections.abc import Iterator, Mapping, Sequence

from server.runner.detection import TIERS
from server.runner.monitoring import usage
from server.runner.sandbox import Tier
from server.runner.tiers.gaps import Machines
from tests.behaviours.marks import ROOT

SECURITY = ROOT / "SECURITY.md"

BEGIN = "<!-- made by `make security` -->"
END = "<!-- until here -->"

_NO_GROUPS = "without control groups"


def text() -> str:
    """Return what SECURITY.md should hold."""
    before, _, rest = SECURITY.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    """Return a line for each gap: of which tiers it is one, and on which machines."""
    columns = [dict(_of(tier)) for tier in TIERS]
    lines = [f"| not held | {' | '.join(tier.name for tier in TIERS)} |", f"|---|{'---|' * len(TIERS)}"]
    lines += [_line(gap, columns) for gap in dict.fromkeys(gap for column in columns for gap in column)]
    return "\n".join(lines)


def _line(gap: str, columns: Sequence[Mapping[str, str]]) -> str:
    return f"| {gap} | {' | '.join(column.get(gap, '') for column in columns)} |"


def _of(tier: type[Tier]) -> Iterator[tuple[str, str]]:
    """Yield the gaps of a tier, each with the machines that have it."""
    yield from tier.gaps.items()
    yield usage.ON_DISK_GAP, Machines.ALL
    yield usage.NO_GROUPS_GAP, _NO_GROUPS
    yield from ((gap, f"{_NO_GROUPS} for it") for gap in usage.GAPS.values())
    if not tier.refuses_root:
        yield usage.ROOT_GAP, f"{Machines.AS_ROOT}, {_NO_GROUPS}"
