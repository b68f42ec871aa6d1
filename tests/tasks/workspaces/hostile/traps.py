"""Scripts by which a task leaves something in a folder of the person's that their own git would execute."""

from pathlib import Path

from server.runner.filesystem import walk
from tests.tasks.workspaces.projects import git, repository, shell

BARE = """git init -q --bare bare; mv bare/HEAD bare/objects bare/refs {0}; mv bare/config {0}/config; rm -rf bare
git config -f {0}/config core.bare false; git config -f {0}/config core.worktree "$(cd {0}; pwd)"
git config -f {0}/config core.fsmonitor 'touch {mark}; false'; git config -f {0}/config alias.st '!touch {mark}'
"""
INIT = "git init -q {0}; git -C {0} config core.fsmonitor 'touch {mark}; false'\n"
COMMIT = "git -C {0} -c core.fsmonitor=false -c user.name=a -c user.email=a@a.invalid commit -q --allow-empty -m x\n"
REBASE = """mkdir .git/rebase-merge; cd .git/rebase-merge
git rev-parse HEAD > onto; cp onto orig-head; echo refs/heads/main > head-name
echo 'exec touch {mark}' > git-rebase-todo; touch done interactive; echo 1 > end; echo 0 > msgnum
"""
HOOK = """mkdir -p {0}/.githooks; printf '#!/bin/sh\\ntouch {mark}\\n' > {0}/.githooks/post-index-change
cd {0}/.githooks; chmod +x *; cp post-index-change pre-commit; cp pre-commit reference-transaction; cd ../..
"""
STATUS = "git status || true"
LINK = "git -C {1} update-index --add --cacheinfo 160000,$(git -C {1}/{0} rev-parse HEAD),{0}\n"
MANY = f"mkdir $(seq {walk.MOST_FOLDERS + 1}); mkdir -p z/z\n"
FORGE = """python3 - <<'END'
import hashlib, struct
index = b"DIRC" + struct.pack(">II", 2, 1)
index += struct.pack(">10I", 0, 0, 0, 0, 0, 0, {1}, 0, 0, 0) + bytes(range(20))
index += struct.pack(">H", len(b"{0}")) + b"{0}"
index += bytes(8 - (len(index) - 12) % 8)
with open(".git/index", "wb") as file:
    file.write(index + hashlib.sha1(index).digest())
END
"""
"""An index that git itself would not write."""


def fill(text: str, *values: str) -> str:
    """Return a script with these values for {0} and {1}."""
    for number, value in enumerate(values):
        text = text.replace(f"{{{number}}}", value)
    return text


def committed(name: str) -> str:
    """Return a repository that executes something, with a commit."""
    return fill(INIT + COMMIT, name)


TRAPS = {
    "a bare layout at the top of a plain folder": ("plain", BARE.replace("{0}", "."), ".", STATUS),
    "a bare layout at the top, and a broken HEAD": (
        "project",
        "echo broken > .git/HEAD\n" + BARE.replace("{0}", "."),
        ".",
        STATUS,
    ),
    "a repository in a folder": ("project", INIT.replace("{0}", "sub"), "sub", STATUS),
    "a bare layout in a folder": ("project", BARE.replace("{0}", "sub"), "sub", STATUS),
    "a linked repository": ("project", INIT.replace("{0}", "x") + "mv x/.git y; ln -s ../y sub/.git\n", "sub", STATUS),
    "a folder that is a link into git's own folder": (
        "project",
        "rm -r sub; " + INIT.replace("{0}", ".git/x/y") + "ln -s .git/x sub\n",
        "sub/y",
        STATUS,
    ),
    "a folder that is a link to where git keeps objects": (
        "project",
        INIT.replace("{0}", ".git/objects/aa/x") + "ln -s .git/objects/aa/x way; rm -r sub; ln -s way sub\n",
        "sub",
        STATUS,
    ),
    "a link into git's own folder": (
        "project",
        INIT.replace("{0}", "x") + "mv x/.git .git/y; ln -s ../.git/y sub/.git\n",
        "sub",
        STATUS,
    ),
    "a file that names a repository": (
        "project",
        INIT.replace("{0}", "x") + "mv x/.git .git/y; echo gitdir: ../.git/y > sub/.git\n",
        "sub",
        STATUS,
    ),
    "a layout whose objects are elsewhere": (
        "plain",
        BARE.replace("{0}", "sub") + "mkdir x; mv sub/config sub/objects sub/refs x; echo ../x > sub/commondir\n",
        "sub",
        "git st || true",
    ),
    "a gitlink": (
        "project",
        INIT.replace("{0}", "new")
        + COMMIT.replace("{0}", "new")
        + "git update-index --add --cacheinfo 160000,$(git -C new rev-parse HEAD),new\n",
        ".",
        STATUS,
    ),
    "a gitlink behind more folders than are looked into": (
        "project",
        MANY + committed("z/z/new") + fill(LINK, "z/z/new", "."),
        ".",
        STATUS,
    ),
    "a gitlink of a gitlink behind more folders than are looked into": (
        "project",
        MANY
        + "git init -q z/z/new\n"
        + committed("z/z/new/z/more")
        + fill(LINK, "z/more", "z/z/new")
        + fill(COMMIT, "z/z/new")
        + fill(LINK, "z/z/new", "."),
        ".",
        STATUS,
    ),
    "a gitlink to a repository within git's own folder": (
        "project",
        committed(".git/x/new") + fill(FORGE, ".git/x/new", "0xE000"),
        ".",
        STATUS,
    ),
    "a gitlink whose mode has other bits, behind more folders": (
        "project",
        MANY + committed("z/z/new") + fill(FORGE, "z/z/new", "0x1234E1A4"),
        ".",
        STATUS,
    ),
    "a hook in a repository": (
        "project",
        "git init -q sub; cd sub/.git/hooks; printf '#!/bin/sh\\ntouch {mark}\\n' > pre-commit; chmod +x pre-commit\n",
        "sub",
        "git commit -q --allow-empty -m x",
    ),
    "settings that are included": (
        "project",
        "git init -q sub; git config -f sub/more core.fsmonitor 'touch {mark}; false'; "
        "git -C sub config include.path ../more\n",
        "sub",
        STATUS,
    ),
    "a rebase that executes": ("project", REBASE, ".", "git rebase --continue || true"),
    "a rebase behind a link": (
        "project",
        REBASE.replace(".git/rebase-merge", "x").replace("cd x", "cd x; ln -s ../x ../.git/rebase-merge"),
        ".",
        "git rebase --continue || true",
    ),
    "a repository in what was made a bare layout": (
        "plain",
        "mkdir objects refs; echo ref: refs/heads/main > HEAD\n" + INIT.replace("{0}", "sub"),
        "sub",
        STATUS,
    ),
    "a repository in one without working files": (
        "project",
        "git init -q --bare sub; mkdir sub/in\n" + INIT.replace("{0}", "sub/in"),
        "sub/in",
        STATUS,
    ),
    "a module of a repository without working files": (
        "plain",
        "git init -q --bare sub; git init -q x; mkdir sub/modules; mv x/.git sub/modules/x; cd sub/modules/x; "
        "printf '#!/bin/sh\\ntouch {mark}\\n' > hooks/pre-commit; chmod +x hooks/pre-commit\n",
        "sub/modules/x",
        "git --git-dir=. --work-tree=. commit -q --allow-empty -m x",
    ),
    "a remote that is hidden in git's own folder": (
        "project",
        "git init -q --bare .git/x; printf '#!/bin/sh\\ntouch {mark}\\n' > .git/x/hooks/post-receive\n"
        "chmod +x .git/x/hooks/post-receive; git init -q sub; git -C sub config remote.origin.url ../.git/x\n"
        + COMMIT.replace("{0}", "sub"),
        "sub",
        "git push -q origin HEAD || true",
    ),
    "a file that has the person's own settings execute what lies in the folder": (
        "hooked",
        HOOK.replace("{0}", "sub") + "echo gitdir: ../.git > sub/.git\n",
        "sub",
        STATUS,
    ),
    "a worktree in which the person's own settings execute what lies there": (
        "hooked",
        "git worktree add -q more\n" + HOOK.replace("{0}", "more"),
        "more",
        "git commit -q --allow-empty -m x || true",
    ),
    "a layout that has the person's own settings execute what lies in the folder": (
        "hooked",
        HOOK.replace("{0}", "sub") + "echo ref: refs/heads/main > sub/HEAD; echo ../.git > sub/commondir\n",
        "sub",
        "git update-ref refs/heads/x HEAD || true",
    ),
    "a remote in a file of an old kind": (
        "project",
        "git init -q --bare .git/x; printf '#!/bin/sh\\ntouch {mark}\\n' > .git/x/hooks/post-receive\n"
        "chmod +x .git/x/hooks/post-receive; mkdir .git/remotes; echo 'URL: .git/x' > .git/remotes/origin\n",
        ".",
        "git push -q origin HEAD || true",
    ),
}


STALLING = (
    "rm .git/index; mkfifo .git/index",
    "rm .git/HEAD; mkfifo .git/HEAD",
    "mkfifo .git/packed-refs",
    "rm .git/refs/heads/main; mkfifo .git/refs/heads/main",
    "mkfifo x; ln -sf ../x .git/index",
    "ln -sf /dev/zero .git/info/exclude",
    "mkfifo sub/.gitignore",
    "mkfifo x; ln -s x .gitattributes",
)
"""What has git wait for a writer, or read without end."""


PREPARED = {
    "a gitlink to what was made before": (
        MANY + committed("z/z/new"),
        fill(LINK, "z/z/new", "."),
        ".",
    ),
    "a gitlink to what was made before and comes into view": (
        MANY + committed("z/z/new"),
        fill(LINK, "z/z/new", ".") + "rm -r [0-9]*\n",
        ".",
    ),
    "a repository that comes into view": (
        MANY + committed("z/z/new"),
        "rm -r [0-9]*\n",
        "z/z/new",
    ),
    "a repository where a gitlink was made before to where objects would be": (
        "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub/objects/aa/new\n",
        "mkdir -p sub/objects/aa sub/refs; echo ref: refs/heads/main > sub/HEAD\n" + committed("sub/objects/aa/new"),
        ".",
    ),
}
"""What one command prepares, and the next one makes a trap of, in which folder."""


def folder_of(place: Path, kind: str) -> Path:
    """Return a folder with a sub-folder, in a repository or not."""
    folder = repository(place / kind)
    if kind == "plain":
        shell(folder, "rm -rf .git")
    if kind == "hooked":
        git(folder, "config", "core.hooksPath", ".githooks")
    return folder
