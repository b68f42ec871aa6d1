"""The sources of secrets by name."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest

from server.config import SecretSource
from server.errors import Code, RemitError
from server.tasks.secrets.vault import MaskFn, SecretsLost, SecretVault


def _into(told: list[tuple[str, str]]) -> MaskFn:
    async def hide(named: Iterable[tuple[str, str]]) -> None:
        told.extend(named)

    return hide


async def read(source: SecretSource) -> str:
    return (await SecretVault({"S": source}).read(["S"]))["S"]


async def test_a_file_is_read_without_its_last_line_break(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("two\nlines\n")
    assert await read(SecretSource(file=file)) == "two\nlines"


async def test_a_command_prints_the_value() -> None:
    assert await read(SecretSource(command=("printf", "%s", "value"))) == "value"


class Keyring(keyring.backend.KeyringBackend):
    """The system's keyring, as far as this test needs one."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return "from-the-ring" if (service, username) == ("remit", "me/too") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def ring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("ring")
async def test_a_keyring_gives_the_value_of_a_service_and_user() -> None:
    assert await read(SecretSource(keyring="remit/me/too")) == "from-the-ring"


@pytest.mark.usefixtures("ring")
async def test_a_missing_entry_of_the_keyring_says_so() -> None:
    with pytest.raises(RemitError, match="no such entry"):
        await read(SecretSource(keyring="remit/nobody"))


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        pytest.param(SecretSource(file=Path("/no/such/file")), "No such file", id="a missing file"),
        pytest.param(
            SecretSource(command=("sh", "-c", "echo leak; echo leak >&2; exit 3")), "status 3", id="a failure"
        ),
        pytest.param(SecretSource(command=("/no/such/command",)), "No such file", id="a missing command"),
        pytest.param(SecretSource(command=("printf", r"\377")), "not UTF-8", id="bytes that are no text"),
        pytest.param(SecretSource(command=("true",)), "empty", id="no value at all"),
    ],
)
async def test_a_secret_that_cannot_be_read_says_why_and_nothing_of_what_was_printed(
    source: SecretSource, cause: str
) -> None:
    with pytest.raises(RemitError) as caught:
        await read(source)
    assert caught.value.code is Code.EXECUTION_ERROR
    assert cause in caught.value.message
    assert "leak" not in caught.value.message


async def test_a_name_without_a_setting_lists_what_there_is() -> None:
    with pytest.raises(RemitError) as caught:
        await SecretVault({"KNOWN": SecretSource(command=("true",))}).read(["OTHER"])
    assert caught.value.code is Code.VALIDATION_ERROR
    assert "KNOWN" in caught.value.message


async def test_dropped_literals_are_lost() -> None:
    vault = SecretVault({})
    await vault.keep("task", 1, {"A": "value"}, {"A": "literal"})
    assert await vault.of_turn("task", 1, {"A": "literal"}) == {"A": "value"}
    assert vault.held == 1
    vault.drop("task")
    assert vault.held == 0
    with pytest.raises(SecretsLost):
        await vault.of_turn("task", 1, {"A": "literal"})


async def test_values_are_kept_until_the_last_borrower_of_the_folder_has_ended() -> None:
    vault = SecretVault({})
    await vault.keep("owner", 1, {"A": "value"}, {"A": "literal"})
    await vault.share("owner", "first")
    await vault.share("first", "second")
    held = []
    for task_id in ("owner", "first", "second"):
        held.append(vault.known("owner"))
        vault.drop(task_id)
    assert (held, vault.known("owner")) == ([{"A": "value"}] * 3, {})


@pytest.mark.parametrize("last", ["owner", "second"])
async def test_values_of_a_borrower_are_kept_until_all_have_ended_that_share_the_folder(last: str) -> None:
    vault = SecretVault({})
    for task_id in ("owner", "first", "second"):
        await vault.keep(task_id, 1, {"A": task_id}, {"A": "literal"})
    await vault.share("owner", "first")
    await vault.share("owner", "second")
    for task_id in {"owner", "first", "second"} - {last}:
        vault.drop(task_id)
    assert vault.known("first") == {"A": "first"}
    vault.drop(last)
    assert vault.held == 0


async def test_a_borrower_that_ends_leaves_the_owner_its_values() -> None:
    vault = SecretVault({})
    await vault.keep("owner", 1, {"A": "value"}, {"A": "literal"})
    await vault.share("owner", "borrower")
    vault.drop("owner")
    await vault.keep("owner", 2, {"A": "another"}, {"A": "literal"})
    vault.drop("borrower")
    assert vault.known("owner") == {"A": "another"}


async def test_nothing_is_kept_for_one_that_turns_out_not_to_borrow() -> None:
    vault = SecretVault({})
    await vault.keep("owner", 1, {"A": "value"}, {"A": "literal"})
    await vault.share("owner", "other")
    vault.drop("owner")
    await vault.set_shared_from("other", ())
    assert vault.held == 0


@pytest.mark.parametrize(("one", "other"), [("owner", "first"), ("first", "owner"), ("first", "second")])
async def test_a_task_at_work_is_told_what_those_get_that_it_shares_a_folder_with(one: str, other: str) -> None:
    vault = SecretVault({})
    await vault.share("owner", "first")
    await vault.share("owner", "second")
    told: list[tuple[str, str]] = []
    with vault.shared(one, _into(told)):
        await vault.keep(other, 1, {"A": "value"}, {"A": "literal"})
        await vault.keep("stranger", 1, {"A": "another"}, {"A": "literal"})
    assert told == [("A", "value")]


async def test_it_is_told_what_one_has_that_comes_to_share_its_folder() -> None:
    vault = SecretVault({})
    told: list[tuple[str, str]] = []
    with vault.shared("owner", _into(told)):
        await vault.keep("borrower", 1, {"A": "value"}, {"A": "literal"})
        assert told == []
        await vault.share("owner", "borrower")
    assert told == [("A", "value")]


async def test_it_learns_what_those_have_already_that_it_shares_a_folder_with() -> None:
    vault = SecretVault({})
    await vault.share("owner", "borrower")
    await vault.keep("borrower", 1, {"A": "value"}, {"A": "literal"})
    with vault.shared("owner", _into([])) as known:
        assert known == [("A", "value")]


async def test_it_is_told_what_one_reads_anew_that_shares_its_folder() -> None:
    vault = SecretVault({"A": SecretSource(command=("echo", "value"))})
    await vault.share("owner", "borrower")
    told: list[tuple[str, str]] = []
    with vault.shared("owner", _into(told)):
        assert await vault.of_turn("borrower", 1, {"A": "named"}) == {"A": "value"}
    assert told == [("A", "value")]
