"""The effect of a record that a command has forged."""

from functools import partial

from server.agents.shell import state_record
from server.agents.shell.shell_state import MOST, MOST_VARIABLES, ShellState, after
from server.limits import PATH_MAX
from templates.redaction import Redactor
from templates.steps import Steps, finished


def forged(before: bytes, now: bytes, names: bytes = b"", folder: bytes = b"/tmp") -> bytes:
    """Return a record of these environments, each of which ends with NUL."""
    settings = b"\0" * (2 + 2 * len(state_record.PRINTED)) + b"0\0"
    return settings + folder + b"\n\0\0\0\0\0" + names + b"\0" + before + b"end\0" + now + b"end\0"


def _none(searched: list[str], text: str) -> Steps[str | None]:
    """Find nothing in a text, which is noted."""
    searched.append(text)
    yield
    return None


def test_a_record_of_very_many_variables_is_searched_for_secrets_no_more_than_so_often() -> None:
    many = b"".join(b"v%d=1\0" % number for number in range(60_000))
    found = state_record.read(forged(b"A=1\0", many))
    assert found
    searched: list[str] = []
    state, _ = finished(after(ShellState(), found, "/", partial(_none, searched), {"v59999"}))
    assert len(searched) + 1 == len(state.variables) == MOST_VARIABLES  # one of them is gone
    assert list(state.lost) == ["v59999"]


def test_others_have_their_turn_while_a_long_variable_is_searched_for_secrets() -> None:
    found = state_record.read(forged(b"A=1\0", b"A=1\0B=" + b"x" * 60_000 + b"\0"))
    assert found
    steps = after(ShellState(), found, "/", Redactor({"KEY": "a-secret-value"}).containing, ())
    assert sum(1 for _ in steps) > 5


def test_what_is_kept_of_a_record_is_bounded() -> None:
    many = b"".join(b"v%d=\0" % number for number in range(60_000))
    found = state_record.read(forged(many, b"\xff=1\0" + many.replace(b"=", b"=\xff"), many.replace(b"=\0", b"\n")))
    assert found
    state, _ = finished(after(ShellState(), found, "/", partial(_none, []), ()))
    assert sum(len(name) + len(value or "") for name, value in state.variables.items()) <= 2 * MOST
    assert not state.lost


def test_a_folder_longer_than_any_can_be_is_none() -> None:
    found = state_record.read(forged(b"A=1\0", b"A=1\0", folder=b"/" + b"x" * PATH_MAX))
    assert found
    assert found.folder is None
