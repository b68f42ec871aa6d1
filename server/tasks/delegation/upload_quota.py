"""Quota of the files that the agent of a task sends to its sub-tasks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from server.config import Settings
from server.errors import Code, RemitError
from server.limits import MIB
from server.runner.monitoring.disks import INODE_BYTES, is_too_full, too_full_a_disk
from server.runner.policy import Limits
from server.runner.workspace.upload import Upload
from server.runner.workspace.workspaces import Workspaces
from server.tasks import sandbox_policy
from server.tasks.working_directory import working_directory
from storage.records.tasks import Claim


class UploadQuota:
    """The bytes of files that a task may send: as many as its own workspace may hold, over all sub-tasks and runs.

    It is counted in memory; a restart, which no agent can cause, resets it.
    """

    def __init__(self, workspaces: Workspaces, settings: Settings) -> None:
        self._workspaces = workspaces
        self._settings = settings
        self._sent: Counter[int] = Counter()

    @contextmanager
    def spent(self, claim: Claim, uploads: Sequence[Upload]) -> Iterator[None]:
        """Count files that the block delivers for an agent; not if the block fails.

        Raises RemitError (LIMIT_EXCEEDED) that names the field: when they are too much for the quota or the disk.
        """
        size = sum(len(upload.content or b"") + INODE_BYTES for upload in uploads)
        if not size:
            yield
            return
        self._check(claim, size)
        self._sent[claim.run.seq] += size
        try:
            yield
        except BaseException:
            self._sent[claim.run.seq] -= size
            raise

    def _check(self, claim: Claim, size: int) -> None:
        most = self._limits(claim)
        if is_too_full(self._workspaces.disk(), most, size):
            full = too_full_a_disk(self._workspaces.state, most)
            raise _too_much(f"{full}; make do without them until a person has made room")
        if self._sent[claim.run.seq] + size > most.workspace_bytes:
            raise _too_much(
                f"a task sends at most {most.workspace_bytes // MIB} MiB to its sub-tasks (workspaceMb), in all its "
                "runs; share its folder with them instead (workspace)"
            )

    def _limits(self, claim: Claim) -> Limits:
        own = working_directory(None, self._workspaces.path(claim.task.id))
        return sandbox_policy.policy(self._settings, claim.task.agent, claim.task.demands, own).limits


def _too_much(why: str) -> RemitError:
    return RemitError(Code.LIMIT_EXCEEDED, f"files: {why}", field="files")
