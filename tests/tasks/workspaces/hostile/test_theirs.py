"""Repositories of the person's, beside which a task works: their settings, hooks and rebases stay as they are."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from server.runner.filesystem import walk
from server.runner.scanning import protected, traps
from server.runner.scanning.protected import find_protected
from server.runner.scanning.repositories import find_places
from server.runner.scanning.sockets import find_sockets
from server.runner.scanning.traps import disarm, snapshot
from server.tasks.secrets.masking import Masker
from tests.servers import Host, script
from tests.tasks.workspaces.hostile.traps import COMMIT, INIT, LINK, fill
from tests.tasks.workspaces.projects import git, names, repository, shell

SETTING = ("config", "core.sshCommand", "ssh -i key")
REBASE = """mkdir .git/rebase-merge; cd .git/rebase-merge
git rev-parse HEAD > onto; cp onto orig-head; echo refs/heads/main > head-name
touch done interactive; echo 1 > end; echo 0 > msgnum; printf 'exec a\\nexec b\\n' > git-rebase-todo
"""


CLOSING = (
    "chmod 555 .git",
    "chmod 111 .git",
    "chmod 000 .git",
    "chmod 444 .git",
    "cd ..; chmod 111 closed{0}",
    "cd ..; chmod 444 closed{0}",
    "cd ..; chmod 000 closed{0}",
)
"""How a command may close a repository to its own user."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with another in it that is beyond the limit, so that nothing protects that one."""
    monkeypatch.setattr(protected, "MOST_REPOSITORIES", 2)
    project = repository(tmp_path / "project")
    git(project, "init", "-q", "theirs")
    git(project / "theirs", *SETTING)
    hook = project / "theirs/.git/hooks/pre-push"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    probe = tmp_path / "probe"
    while not probe.exists() or probe.stat().st_ctime_ns <= hook.stat().st_ctime_ns:
        probe.write_text("")  # until the clock of the file system has gone on
    return project


def left(folder: Path, change: Callable[[], object]) -> list[str]:
    """Return what is told of a change that was made while a command ran."""
    before = snapshot(folder, find_protected(folder, at_top=True))
    change()
    return disarm(folder, before)


def test_settings_that_git_itself_writes_anew_stay(folder: Path) -> None:
    theirs = folder / "theirs"
    assert left(folder, lambda: git(theirs, "config", "branch.main.remote", "origin")) == []
    assert git(theirs, "config", "core.sshCommand") == "ssh -i key\n"


def test_files_whose_names_or_modes_alone_change_stay(folder: Path) -> None:
    def back_up() -> None:
        for path in (folder / "theirs/.git").rglob("*"):
            if path.is_file():
                os.link(path, folder.parent / path.name)

    assert left(folder, back_up) == []


@pytest.mark.parametrize("name", ["theirs/.git/config", "theirs/.git/hooks/pre-push"])
def test_what_is_added_to_them_is_set_aside_and_a_command_puts_it_back(folder: Path, name: str) -> None:
    text = (folder / name).read_text() + "[alias]\n\tst = !x\n"
    (told,) = left(folder, lambda: (folder / name).write_text(text))
    assert told.startswith(f"{name} was set aside as {Path(name).name}.aside-remit-")
    assert not (folder / name).exists()
    shell(folder, told.partition(" in the folder: ")[2])
    assert (folder / name).read_text() == text


def test_of_many_hooks_a_new_one_alone_is_set_aside(folder: Path) -> None:
    hooks = folder / "theirs/.git/hooks"
    (told,) = left(folder, lambda: (hooks / "post-commit").write_text("#!/bin/sh\n"))
    assert told.startswith("theirs/.git/hooks/post-commit was")
    assert (hooks / "pre-push").exists()
    assert left(folder, lambda: None) == [], "what was set aside is not set aside again"


def test_a_repository_that_comes_into_view_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `rm -rf node_modules` leaves fewer folders to look into."""
    shell(folder, "mkdir $(seq -f a%g 60)")
    monkeypatch.setattr(walk, "MOST_FOLDERS", 61)
    assert "theirs" not in {place.path.name for place in find_places(folder)}
    assert left(folder, lambda: shell(folder, "rm -r a*/")) == []
    assert git(folder / "theirs", "config", "core.sshCommand") == "ssh -i key\n"


@pytest.mark.parametrize("moved", ["mv plain sub/.git", "mv plain/sub sub2; mv sub2/git sub2/.git", "mv .git/x y"])
def test_one_that_was_prepared_before_and_is_made_one_by_a_move_is_set_aside(folder: Path, moved: str) -> None:
    shell(folder, "git init -q x; git -C x config core.fsmonitor x; cp -r x/.git plain; mkdir plain/sub")
    shell(folder, "cp -r x/.git plain/sub/git; rm plain/HEAD; mv x .git/x")
    if moved.startswith("mv plain "):
        moved += "; echo ref: refs/heads/main > sub/.git/HEAD"
    assert any("/.git/config was set aside" in each for each in left(folder, lambda: shell(folder, moved)))


def test_a_rebase_of_theirs_that_goes_on_stays(folder: Path) -> None:
    shell(folder, REBASE)
    todo = folder / ".git/rebase-merge/git-rebase-todo"
    assert left(folder, lambda: todo.write_text("exec b\n")) == []
    assert len(left(folder, lambda: todo.write_text("exec c\n"))) == 1


@pytest.mark.parametrize("name", ["rebase-merge/strategy", "sequencer/opts"])
def test_a_strategy_of_merging_that_names_a_file_is_set_aside(folder: Path, name: str) -> None:
    """git runs `git-merge-../x`, a file in the working tree, when what was begun goes on."""
    path = folder / ".git" / name
    path.parent.mkdir()
    assert left(folder, lambda: path.write_text("[options]\n\tstrategy = ort\n")) == []
    assert len(left(folder, lambda: path.write_text("[options]\n\tstrategy = ../x\n"))) == 1


@pytest.mark.parametrize("secret", ["geheim-ü-wert", "s3cr3t" * 40], ids=["not ASCII", "long"])
def test_a_secret_in_the_name_of_a_folder_is_masked_in_what_is_told(folder: Path, secret: str) -> None:
    def plant() -> None:
        git(folder, "init", "-q", secret)
        (folder / secret / ".git/hooks").mkdir(exist_ok=True)
        (folder / secret / ".git/hooks/pre-commit").touch(mode=0o755)

    told = [Masker({"S": secret}).short(each) for each in left(folder, plant)]
    assert any(each.startswith("[secret S]/.git/hooks") for each in told)
    assert not any("s3cr" in each or "geheim" in each for each in told)


def test_a_hook_is_found_among_any_number_of_samples(folder: Path) -> None:
    def plant() -> None:
        git(folder, "init", "-q", "new")
        shell(folder / "new/.git/hooks", "for i in $(seq 2000); do : > $i.sample; done; : > pre-commit")

    assert left(folder, plant)
    assert not (folder / "new/.git/hooks/pre-commit").exists()


def test_many_large_files_of_rebases_take_little_memory(folder: Path) -> None:
    for number in range(20):
        shell(folder, f"git init -q r{number}; mkdir r{number}/.git/rebase-merge")
        with (folder / f"r{number}/.git/rebase-merge/git-rebase-todo").open("wb") as todo:
            todo.write(b"exec x\n" * 30000)
    seen = snapshot(folder, find_protected(folder))
    assert sum(len(text) for harm in seen.harm.values() for text in harm) < 20 * 200 * 100


def test_a_folder_that_became_too_large_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_FOLDERS", 20)
    (told,) = left(folder, lambda: shell(folder, "mkdir $(seq 30)"))
    assert "not all of them were looked at" in told


@pytest.mark.parametrize("named", [".git", "below/.git"])
def test_very_many_names_hide_no_repository_in_silence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """The one beside them is set aside all the same; those further within are told of."""
    monkeypatch.setattr(walk, "MOST_NAMES", 30)

    def hide() -> None:
        shell(folder, "mkdir many; cd many; git init -q x; git -C x config core.fsmonitor x; touch $(seq 1000)")
        (folder / "many" / named).parent.mkdir(exist_ok=True)
        (folder / "many/x/.git").rename(folder / "many" / named)

    told = left(folder, hide)
    assert any("many has more than" in each for each in told)
    if named == ".git":
        assert any("many/.git/config was set aside" in each for each in told)


def test_names_are_bounded_in_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_NAMES_IN_ALL", 50)
    told = left(folder, lambda: shell(folder, "mkdir a b; touch a/$(seq -s ' a/' 100)"))
    assert "not all of them were looked at for what git would execute" in told[-1]


def test_an_opencode_json_is_closed_where_it_is_there_and_in_no_listing_where_not(folder: Path) -> None:
    path = folder / "opencode.json"
    assert path not in find_protected(folder, at_top=True).missing
    path.write_text("{}")
    assert path in find_protected(folder, at_top=True).present


def test_a_large_worktree_is_told_of_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_FOLDERS", 2)
    told = disarm(folder, traps.untouched(folder, is_protected=True))
    assert "not all of them were looked at for what git would execute" in told[-1]


def test_the_worktrees_and_modules_of_a_repository_count_among_its_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "MOST_FOLDERS", 20)
    shell(folder, "cd .git; mkdir -p $(seq -f worktrees/%g 50)")
    assert len(list(find_places(folder))) <= 22


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into every folder")
def test_a_folder_that_is_closed_meanwhile_hides_nothing(folder: Path) -> None:
    def hide() -> None:
        for number, closed in enumerate(CLOSING):
            shell(folder, f"git init -q closed{number}; git -C closed{number} config core.fsmonitor x")
            shell(folder / f"closed{number}", closed.format(number))

    assert len([each for each in left(folder, hide) if "was set aside" in each]) == len(CLOSING)
    assert not list(folder.glob("closed*/.git/config"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into every folder")
@pytest.mark.parametrize("mode", [0, 0o111, 0o333, 0o444, 0o555])
def test_whatever_folder_is_closed_the_looks_come_to_an_end(folder: Path, mode: int) -> None:
    """With a submodule, a linked worktree, hooks among the working files and one more repository there."""
    shell(folder, f"{fill(INIT + COMMIT, 'sub/new')} {fill(LINK, 'sub/new', '.')} git worktree add -q more; mkdir .hg")
    shell(folder, "git config core.hooksPath sub/hooks; mkdir -p sub/hooks .git/modules/x; touch .git/modules/x/config")
    closed = [path for path in (folder, *folder.rglob("*")) if path.is_dir()]
    for path in filter(Path.exists, closed):
        before = snapshot(folder, find_protected(folder, at_top=True))
        path.chmod(mode)
        find_sockets([folder])
        snapshot(folder, find_protected(folder, at_top=True))
        disarm(folder, before)
        if path.exists():  # hooks that cannot be read are set aside
            path.chmod(0o755)
    assert len(closed) > 50


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into every folder")
@pytest.mark.parametrize("mode", ["000", "444", "111"])
def test_a_closed_folder_that_an_index_names_is_told_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(walk, "MOST_FOLDERS", 61)

    def hide() -> None:
        shell(folder, f"mkdir -p $(seq 60) z/y/x; {fill(INIT + COMMIT, 'z/y/x/new')} {fill(LINK, 'z/y/x/new', '.')}")
        shell(folder, f"chmod {mode} z/y/x/new")

    told = " ".join(left(folder, hide))
    (folder / "z/y/x/new").chmod(0o755)
    assert "z/y/x/new" in told
    if "set aside" not in told:
        assert "z/y/x/new may not be looked into" in told


def test_what_was_set_aside_is_told_first() -> None:
    assert traps.told(["large", "x was set aside as y"], traps.MORE) == ["x was set aside as y", "large"]


def test_of_very_many_the_first_are_told_with_how_to_find_all() -> None:
    told = traps.told([str(number) for number in range(30)], traps.MORE)
    assert len(told) == traps.MOST_TOLD + 1
    assert "find ." in told[-1]
    assert traps.told([*told, "new"], traps.MORE) == told


@pytest.mark.anyio
@pytest.mark.namespaces
async def test_submodules_that_a_task_clones_are_of_use(host: Host, place: Path) -> None:
    folder, library = repository(place / "project"), repository(place / "project/library")
    git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "module")
    git(folder, "commit", "-qm", "module")
    lines = f"git -c protocol.file.allow=always clone -q --recurse-submodules {shlex.quote(str(folder))} inner"
    task = await host.done(script(lines), workspace={"path": str(folder), "mode": "readwrite"})
    assert (task["status"], task["workspace"].get("problem")) == ("completed", None)
    assert git(folder / "inner/module", "status", "--porcelain") == ""
    assert names(folder / "inner/.git/modules/module", "*aside*") == set()


@pytest.mark.anyio
@pytest.mark.namespaces
async def test_what_the_person_makes_in_a_worktree_after_the_task_stays(host: Host, place: Path) -> None:
    repository(place / "project")
    task = await host.done("$ touch new", workspace={"path": "project"})
    tree = Path(task["workspace"]["folder"])
    shell(tree, "git init -q mine; git -C mine config core.sshCommand 'ssh -i key'")
    error = await host.fail("delete_task", id=task["id"])
    assert error["code"] == "CONFLICT"
    assert git(tree / "mine", "config", "core.sshCommand") == "ssh -i key\n"
