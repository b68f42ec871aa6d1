"""The branch of a task in the user's repository.

Another task in that repository's folder may have put symlinks into `.git`. So git reads and writes the branch in the
sandbox, where such symlinks lead nowhere.
"""

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from server.concurrency import in_grace
from server.errors import Code, RemitError
from server.runner.git.git_command import SETTINGS
from server.runner.git.repository import NotCarried, Repository
from server.runner.policy import SandboxPolicy
from server.runner.sandbox import Sandbox
from server.runner.worktrees.script import Script

SECONDS = 30.0
"""Time limit of each script; they take some milliseconds."""

GRACE_SECONDS = 1.0
"""Time for git to finish a change of the branch when it is cancelled: if killed, it would leave its lock file."""

_GIT = f"""
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_NO_REPLACE_OBJECTS=1
export GIT_COMMITTER_NAME=remit GIT_COMMITTER_EMAIL=remit@localhost
ref=refs/heads/$1
g() {{ git {" ".join(f"-c {setting}" for setting in SETTINGS)} --git-dir=. --work-tree=. "$@"; }}
"""

_STATE = Script(
    f"""{_GIT}
g symbolic-ref -q "$ref" > "$TMPDIR/out" && {{ echo symbolic; exit; }}
g rev-parse --verify -q "$ref" || echo none
g for-each-ref --format='%(worktreepath)' "$ref"
""",
    SECONDS,
    "the branch could not be looked at",
)

# For `git update-ref`, an empty old value means that the branch must not exist.
_MAKE = Script(
    f"""{_GIT}
g rev-parse --verify -q "$ref" && exit
start=$2
g cat-file -e "$start^{{commit}}" 2> "$TMPDIR/out" || start=$3
g update-ref --no-deref "$ref" "$start" "" && echo "$start"
""",
    SECONDS,
    "the branch could not be made",
)

_MOVE = Script(f'{_GIT}\ng update-ref --no-deref "$ref" "$2" "$3"', SECONDS, "the branch could not be moved")

_DROP = Script(f'{_GIT}\ng update-ref --no-deref -d "$ref" "$2"', SECONDS, "the branch could not be removed")


@dataclass(frozen=True, slots=True)
class _State:
    tip: str | None
    is_symbolic: bool
    is_checked_out: bool


class Branch:
    """The branch of one task, which nothing else should move. Every method raises ScriptFailed if git fails."""

    def __init__(self, repository: Repository, name: str, sandbox: Sandbox, policy: SandboxPolicy) -> None:
        """Prepare for git commands. `policy` is the task's; its workspace, paths and network are replaced here."""
        self._repository = repository
        self.name = name
        self._sandbox = sandbox
        git = Path(repository.git)
        elsewhere = tuple(folder for folder in map(Path, repository.objects) if not folder.is_relative_to(git))
        within = replace(policy, workspace=git, folder=None, access="read-write", owner="user", hooks="writable")
        given = replace(within, readable=elsewhere, pinned=(git, *elsewhere))
        self._policy = replace(given, network="none", home=None)

    async def tip(self) -> str | None:
        """Return the commit that the branch is at; None if it does not exist."""
        return (await self._state()).tip

    async def make(self, commit: str) -> str:
        """Make the branch at `commit`, or at the base if that is missing; return the commit that it is at.

        An existing branch is left as it is.
        """
        return _commit(await self._changed(_MAKE, commit, self._repository.base))

    async def check(self, known: str) -> str | None:
        """Return the commit that the branch is at, `known`, or None if it does not exist.

        Raises NotCarried if it must not be moved: it is at another commit, symbolic, or checked out.
        """
        state = await self._state()
        if state.is_symbolic:
            raise NotCarried(f"the branch {self.name} is another name of a branch by now; it is left as it is")
        if state.tip not in (known, None):
            raise NotCarried(f"somebody else has moved the branch {self.name}; it is left at {state.tip}")
        if state.is_checked_out:
            raise NotCarried(f"the branch {self.name} is checked out somewhere; it is left as it is")
        return state.tip

    async def move(self, commit: str, known: str) -> None:
        """Move the branch from `known` to `commit`, whose objects the repository has. Raises NotCarried."""
        tip = await self.check(known)
        await self._changed(_MOVE, commit, tip or "")

    async def drop(self) -> None:
        """Delete the branch if it is still at the base commit and not checked out."""
        state = await self._state()
        if state.tip == self._repository.base and not state.is_checked_out:
            await self._changed(_DROP, self._repository.base)

    async def _state(self) -> _State:
        tip, *checked_out = (await self._told(_STATE)).split("\n")
        at_commit = tip not in ("symbolic", "none")
        return _State(_commit(tip) if at_commit else None, tip == "symbolic", any(checked_out))

    async def _changed(self, script: Script, *arguments: str) -> str:
        return await in_grace(partial(self._told, script, *arguments), GRACE_SECONDS)

    async def _told(self, script: Script, *arguments: str) -> str:
        said = await script.told(self._sandbox, self._policy, self.name, *arguments)
        return said.decode(errors="replace").strip()


def _commit(said: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40,64}", said):
        raise RemitError(Code.EXECUTION_ERROR, "git does not say at which commit the branch is")
    return said
