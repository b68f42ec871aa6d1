"""Stands above a command where no process namespace does, and ends with the last process it left behind.

Started as `python -I -S supervisor.py FOLDER`. It forks; the child goes on as the launcher, the parent adopts whatever
the command leaves behind (as its subreaper), kills all of it when the command, or the server, has ended, and exits with
the command's status. It learns that the server is gone by its stdin, which the server keeps open; then it also clears
away the folder that the command had to itself.

There are two of it, one beneath the other, since somebody may kill it: whichever is left ends the command.
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
    """Fork, once this process adopts what its child leaves behind; returns as `os.fork` does."""
    launcher.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        return os.fork()
    except OSError as error:  # too many processes
        os._exit(launcher.failed(error))


def supervise(child: int, *above: int) -> None:
    """Wait until `child` ends, or the server, or a process above (descriptors); then end all that is left, and exit."""
    code = watch(child, *above)
    process_tree.end_descendants(os.getpid())
    if code is None:
        code = reap(child, 0) or 0
        clear_away(sys.argv[1])
    os._exit(128 - code if code < 0 else code)


def clear_away(folder: str) -> None:
    from pathlib import Path  # which takes longer to import than all the rest, and is rarely needed

    from server.runner.filesystem.removal import delete_tree

    try:
        delete_tree(Path(folder))
    except OSError as error:
        print(f"the private folder of a command is left: {error}", file=sys.stderr)


def watch(child: int, *above: int) -> int | None:
    """Wait until `child` ends, and return its exit code; or None once the server or a process above has ended."""
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
    """Collect every ended process; return the exit code of `child` if it is among them."""
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
