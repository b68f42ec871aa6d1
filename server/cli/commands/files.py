"""Commands for the files of tasks, and for their worktrees."""

from __future__ import annotations

import base64
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from server.cli.client import Client, open_client
from server.cli.console import Screen, age, one_line
from server.cli.printing import note, print_answer
from server.errors import Code, RemitError

if TYPE_CHECKING:
    from server.tasks.views.view_models import ArtifactsView, WorktreesView, WorktreeView

PIECE = 512 * 1024  # bytes asked for at a time
SHOWN = 20  # changed files of a worktree that is about to be lost


def artifacts(arguments: Namespace) -> int:
    """Run `remit artifacts`: list the files of a task, or print one of them."""
    with open_client() as client:
        task_id = client.find(arguments.id)
        if arguments.path is None:
            answer = _all_files(client, task_id)
            print_answer(arguments, answer, _file_lines(answer))
            return 0
        if arguments.json:
            piece: ArtifactsView = client.call("read_artifacts", id=task_id, path=arguments.path, limit=PIECE)
            print_answer(arguments, piece, ())
            return 0
        for piece in _pieces(client, task_id, arguments.path):
            _write(piece)
    return 0


def worktrees(arguments: Namespace) -> int:
    """Run `remit worktrees`: list the worktrees on disk, complete or not."""
    with open_client() as client:
        answer: WorktreesView = client.call("list_worktrees")
    print_answer(arguments, answer, _worktree_lines(answer))
    return 0


def prune(arguments: Namespace) -> int:
    """Run `remit worktrees prune`: remove worktrees; with `--force`, first print what is lost."""
    with open_client() as client:
        ids = [client.find(task_id) for task_id in arguments.ids]
        if arguments.force:
            known: WorktreesView = client.call("list_worktrees")
            for worktree in known["worktrees"]:
                if worktree["taskId"] in ids and worktree["state"] != "clean":
                    _print_loss(worktree)
        answer = client.call("prune_worktrees", ids=ids, force=arguments.force)
    for reason in answer["kept"]:
        note(reason)
    print_answer(arguments, answer, [f"removed {task_id}" for task_id in answer["prunedTaskIds"]])
    return 0


def _all_files(client: Client, task_id: str) -> ArtifactsView:
    answer: ArtifactsView = client.call("read_artifacts", id=task_id, limit=1000)
    page = answer
    while "nextOffset" in page:
        page = client.call("read_artifacts", id=task_id, limit=1000, offset=page["nextOffset"])
        answer["files"] += page["files"]
    answer.pop("nextOffset", None)
    return answer


def _pieces(client: Client, task_id: str, path: str) -> Iterator[ArtifactsView]:
    offset: int | None = 0
    while offset is not None:
        piece: ArtifactsView = client.call("read_artifacts", id=task_id, path=path, offset=offset, limit=PIECE)
        if not offset and "notMasked" in piece:
            note(f"not masked, since their values are gone: {', '.join(piece['notMasked'])}")
        yield piece
        offset = piece.get("nextOffset")


def _write(piece: ArtifactsView) -> None:
    screen = Screen(sys.stdout)
    if screen.is_terminal and "base64" in piece:
        raise RemitError(Code.VALIDATION_ERROR, "this file is no text; write it to a file with > NAME")
    if screen.is_terminal:
        screen.pass_on(piece["text"])
        return
    sys.stdout.buffer.write(base64.b64decode(piece["base64"]) if "base64" in piece else piece["text"].encode())


def _file_lines(answer: ArtifactsView) -> Iterator[str]:
    if not answer["files"]:
        yield "no files"
    for file in answer["files"]:
        yield f"{file['size']:>12}  {age(file['modifiedAt']):>4}  {one_line(file['path'])}"
    if answer.get("partial"):
        yield "… there are more files than are looked at"


def _worktree_lines(answer: WorktreesView) -> Iterator[str]:
    if not answer["worktrees"]:
        yield "no worktrees"
    for worktree in answer["worktrees"]:
        yield (
            f"{worktree['taskId']}  {worktree['state']:<5}  {age(worktree['lastActivityAt']):>4}  "
            f"{one_line(worktree['branch'])} in {one_line(worktree['repository'])}"
        )
        yield f"  {one_line(worktree['path'])}"
        if "problem" in worktree:
            yield f"  {one_line(worktree['problem'])}"


def _print_loss(worktree: WorktreeView) -> None:
    note(f"lost with the worktree of task {worktree['taskId']}: {worktree.get('problem', 'uncommitted changes')}")
    files = worktree.get("changedFiles", [])
    for path, status in files[:SHOWN]:
        note(f"  {status} {path}")
    if others := len(files[SHOWN:]) + worktree.get("omittedFiles", 0):
        note(f"  … and {others} more")
