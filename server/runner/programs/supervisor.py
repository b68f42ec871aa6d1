"""The program that ends a command's process tree where there is no process namespace. It runs outside the sandbox.

Started as `python -I -S supervisor.py FOLDER`. It forks: the child becomes the launcher, the parent adopts orphaned
descendants as their subreaper. When the command ends or the server dies, it kills all descendants and exits with the
command's status. The server keeps its stdin open: if that closes, the server has died, and the supervisor also deletes
FOLDER, the command's private folder.

It runs twice, one as the child of the other, as the command may be able to kill one: the other then ends the command.
"""

import os
import select
import sys
from signal import SIGKILL

sys.path.append(__file__.removesuffix("/server/runner/programs/supervisor.py"))

from server.runner import process_tree
from server.runner.programs import launcher

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> None:
    """Start both supervisors and the launcher, and wait for the end."""
    outer = os.pidfd_open(os.getpid())
    if inner := adopting_fork():
        supervise(inner)
    elif child := adopting_fork():
        supervise(child, outer)
    else:
        os.setsid()
        launcher.prctl(PR_SET_PDEATHSIG, SIGKILL)
        launcher.main()


def adopting_fork() -> int:
    """Become a subreaper, then fork; return what `os.fork` returns."""
    launcher.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        return os.fork()
    except OSError as error:  # too many processes
        os._exit(launcher.failed(error))


def supervise(child: int, *above: int) -> None:
    """Wait until `child`, the server or a process above ends, then end all descendants and exit.

    `above` are pidfds.
    """
    code = watch(child, *above)
    process_tree.end_descendants(os.getpid())
    if code is None:
        code = reap(child, 0) or 0
        delete_folder(sys.argv[1])
    os._exit(128 - code if code < 0 else code)


def delete_folder(folder: str) -> None:
    """Delete the command's private folder; report a failure on stderr."""
    from pathlib import Path  # imported late: slow to import, and rarely needed

    from server.runner.filesystem.removal import delete_tree

    try:
        delete_tree(Path(folder))
    except OSError as error:
        print(f"the private folder of a command is left: {error}", file=sys.stderr)


def watch(child: int, *above: int) -> int | None:
    """Wait until `child` ends and return its exit code; None if the server or a process above ends first."""
    events = select.poll()
    events.register(0, 0)
    events.register(own := os.pidfd_open(child), select.POLLIN)
    for process in above:
        events.register(process, select.POLLIN)
    while all(descriptor == own for descriptor, _ in events.poll(1000)):
        if (code := reap(child, os.WNOHANG)) is not None:
            return code
    return None


def reap(child: int, options: int) -> int | None:
    """Reap every ended child; return the exit code of `child` if it is among them."""
    code = None
    try:
        while (ended := os.waitpid(-1, options)) != (0, 0):
            if ended[0] == child:
                code = os.waitstatus_to_exitcode(ended[1])
    except ChildProcessError:
        pass
    return code


if __name__ == "__main__":
    main()
