"""How much the agent of a task may send along with what it hands on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from server.config import Settings
from server.errors import Code, RemitError
from server.runner.monitoring.disks import INODE_BYTES, is_too_full, too_full_a_disk
from server.runner.policy import MIB, Limits
from server.runner.workspace.upload import Upload
from server.runner.workspace.workspaces import Workspaces
from server.tasks import sandbox_policy
from server.tasks.working_directory import working_directory
from storage.records.tasks import Claim


class UploadQuota:
    """As much as fits into the task's own workspace, whatever its number of sub-tasks and runs, and into the disk.

    It begins anew with the server, which no agent can bring about.
    """

    def __init__(self, workspaces: Workspaces, settings: Settings) -> None:
        self._workspaces = workspaces
        self._settings = settings
        self._sent: Counter[int] = Counter()

    @contextmanager
    def spent(self, claim: Claim, uploads: Sequence[Upload]) -> Iterator[None]:
        """Count files that the block delivers for the agent of a run, unless it fails.

        Raises RemitError (LIMIT_EXCEEDED) that names the field, where they are too much.
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
