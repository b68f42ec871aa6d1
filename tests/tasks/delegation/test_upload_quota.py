"""The upload quota of a task's agent for its sub-tasks."""

from pathlib import Path

import pytest

from server.config import LimitSettings, Settings
from server.errors import Code, RemitError
from server.runner.workspace.upload import Upload
from server.runner.workspace.workspaces import Workspaces
from server.tasks.delegation.upload_quota import UploadQuota
from storage.records.tasks import Claim
from storage.sqlite.store import open_store
from tests.storage.fresh import fresh
from tests.storage.samples import claimed

MIB = 1024**2
FILES = [Upload("a", content=b"x" * 600 * 1024)]


@pytest.fixture
async def claim(tmp_path: Path) -> Claim:
    async with open_store(fresh(tmp_path / "remit.db")) as store:
        return await claimed(store)


def allowance(tmp_path: Path, **limits: int) -> UploadQuota:
    return UploadQuota(Workspaces(tmp_path / "workspaces"), Settings(limits=LimitSettings.model_validate(limits)))


async def test_what_was_not_delivered_does_not_count(tmp_path: Path, claim: Claim) -> None:
    own = allowance(tmp_path, workspace_size=MIB)
    with pytest.raises(OSError, match="no"), own.spent(claim, FILES):
        raise OSError("no")
    with own.spent(claim, FILES):
        pass
    with pytest.raises(RemitError, match="share its folder with them") as refused, own.spent(claim, FILES):
        pass
    assert (refused.value.code, refused.value.details["field"]) == (Code.LIMIT_EXCEEDED, "files")


async def test_the_disk_keeps_free_what_it_must(tmp_path: Path, claim: Claim) -> None:
    with (
        pytest.raises(RemitError, match=f"the disk of {tmp_path} must keep") as refused,
        allowance(tmp_path, free_space=2**60).spent(claim, FILES),
    ):
        pass
    assert refused.value.details["field"] == "files"


async def test_who_sends_no_files_is_not_asked_for_room(tmp_path: Path, claim: Claim) -> None:
    with allowance(tmp_path, free_space=2**60).spent(claim, []):
        pass
