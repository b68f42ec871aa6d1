"""Sub-tasks, in lists, in full and followed."""

import re
from pathlib import Path

import pytest

from server.cli import follow
from server.cli.client import open_client
from server.cli.subtask_tree import nested, read_tree
from tests.cli.command_line import CommandLine

UNTIL_GO = "until [ -e go ]; do sleep 0.05; done"
WAITS_FOR_GO = f"{UNTIL_GO}; echo gone"


@pytest.mark.parametrize(
    ("ids", "parents", "placed"),
    [
        pytest.param(["b", "a"], {"b": "a"}, [("a", 0), ("b", 1)], id="beneath its parent"),
        pytest.param(["c", "b", "a"], {"c": "b", "b": "a"}, [("a", 0), ("b", 1), ("c", 2)], id="on several levels"),
        pytest.param(["b", "a"], {"b": "gone"}, [("a", 0), ("gone", 0), ("b", 1)], id="with a missing parent"),
        pytest.param(["c", "b", "a"], {"c": "a", "b": "a"}, [("a", 0), ("c", 1), ("b", 1)], id="in their order"),
    ],
)
def test_every_task_is_placed_once(ids: list[str], parents: dict[str, str], placed: list[tuple[str, int]]) -> None:
    assert list(nested(ids, parents)) == placed


def test_a_tree_has_sub_tasks_beneath_their_parents(remit: CommandLine) -> None:
    root = remit.json("run", "--title", "root", "true")["id"]
    child = remit.json("run", "--title", "child", "--parent", root, "true")["id"]
    remit("run", "--title", "grandchild", "--parent", child, "true")
    remit("run", "--title", "other", "true")
    lines = remit("list", "--tree").stdout.splitlines()
    assert [re.split(r"\d+s {5,6}", line)[1] for line in lines[:4]] == ["other", "root", "  child", "    grandchild"]


def test_a_tree_says_that_a_parent_is_on_another_page(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    remit("run", "--title", "child", "--parent", root, "true")
    first, second, _ = remit("list", "--tree", "--limit", "1").stdout.splitlines()
    assert (first, second.endswith("   child")) == (f"{root[:8]}  (not on this page)", True)


def test_a_list_without_a_tree_is_flat(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    remit("run", "--title", "child", "--parent", root, "true")
    assert [task["id"] == root for task in remit.json("list")["tasks"][:2]] == [False, True]
    assert remit("list").stdout.splitlines()[0].endswith("s      child")


def test_the_sub_tasks_of_one_task_are_listed(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    child = remit.json("run", "--parent", root, "true")["id"]
    remit("run", "--parent", child, "true")
    assert [task["id"] for task in remit.json("list", "--parent", root[:8])["tasks"]] == [child]


def test_a_task_is_shown_with_its_sub_tasks(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    child = remit.detached("--title", "child", "--agent", "none", "--parent", root, "a record")
    remit("update", child, "--progress", "0.4")
    grandchild = remit.json("run", "--title", "grandchild", "--parent", child, "true")["id"]
    shown = remit("show", root).stdout.partition("sub-tasks\n")[2].splitlines()
    assert re.fullmatch(rf"  {child[:8]}  pending +none +40% +child", shown[0])
    assert re.fullmatch(rf"    {grandchild[:8]}  completed +shell +grandchild", shown[1])


def test_sub_tasks_are_told_to_programs_too(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    child = remit.json("run", "--parent", root, "true")["id"]
    grandchild = remit.json("run", "--parent", child, "true")["id"]
    (branch,) = remit.json("show", root)["subtasks"]
    assert (branch["task"]["id"], branch["subtasks"][0]["task"]["id"]) == (child, grandchild)


def test_sub_tasks_that_are_not_shown_are_counted_on_every_level(
    remit: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    remit("list")  # starts the server
    monkeypatch.setenv("REMIT_HOME", str(remit.home))
    with open_client() as client:
        root = client.call("create_task", message="root", agentId="none")["id"]
        part = client.call("create_task", message="part", agentId="none", parentTaskId=root)["id"]
        client.call("create_task", message="part of a part", agentId="none", parentTaskId=part)
        (branch,), omitted = read_tree(client, root, 1)
        assert (omitted, branch["subtasks"], branch["omittedSubtasks"]) == (0, [], 1)
        client.call("create_task", message="another", agentId="none", parentTaskId=root)
        (branch,), omitted = read_tree(client, root, 1)
        assert (omitted, branch["task"]["message"], "omittedSubtasks" in branch) == (1, "another", False)


def test_a_task_without_sub_tasks_is_shown_without(remit: CommandLine) -> None:
    assert "sub-tasks" not in remit("show", remit.json("run", "true")["id"]).stdout


def test_output_of_sub_tasks_is_followed_in_marked_lines(remit: CommandLine) -> None:
    root = remit.json("run", "echo mine")["id"]
    child = remit.json("run", "--parent", root, "printf 'one\ntwo'")["id"]
    done = remit("watch", root)
    mark = f"[{child[:8]}]"
    assert (done.stdout, done.returncode) == ("mine\n", 0)
    assert [line for line in done.stderr.splitlines() if line.startswith(mark)] == [
        f"{mark} a sub-task of {root[:8]}",
        f"{mark} pending",
        f"{mark} running",
        f"{mark} $ printf 'one two'",
        f"{mark} | one",
        f"{mark} | two",
        f"{mark} completed",
    ]


def test_a_tree_is_followed_until_all_of_it_has_ended(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    child = remit.detached("--parent", root, WAITS_FOR_GO)
    with remit.start("watch", root) as watch:
        watch.expect(rf"\[{child[:8]}\] running\n")
        Path(remit.home, "workspaces", child, "go").touch()
        watch.expect(rf"\[{child[:8]}\] \| gone\n(?s:.*)completed\n(?s:.*)remit: completed\n")
        assert watch.end() == 0


def test_sub_tasks_that_come_to_be_meanwhile_are_followed(remit: CommandLine) -> None:
    root = remit.detached(WAITS_FOR_GO)
    with remit.start("watch", root) as watch:
        watch.expect(r"\$ until")
        child = remit.detached("--parent", root, "echo later")
        watch.expect(rf"\[{child[:8]}\] \| later\n")
        grandchild = remit.detached("--parent", child, "echo last")
        Path(remit.home, "workspaces", root, "go").touch()
        watch.expect(rf"\[{grandchild[:8]}\] completed\n")
        assert watch.end() == 0


def test_what_is_added_beneath_a_task_that_has_ended_is_followed(remit: CommandLine) -> None:
    root = remit.detached(WAITS_FOR_GO)
    child = remit.detached("--parent", root, "true")
    with remit.start("watch", root) as watch:
        watch.expect(rf"\[{child[:8]}\] completed\n")
        grandchild = remit.detached("--parent", child, WAITS_FOR_GO)
        Path(remit.home, "workspaces", root, "go").touch()
        watch.expect(rf"\[{grandchild[:8]}\] running\n")
        Path(remit.home, "workspaces", grandchild, "go").touch()
        assert watch.end() == 0


def test_progress_of_sub_tasks_is_told_as_it_comes(remit: CommandLine) -> None:
    root = remit.detached("--agent", "none", "a record")
    child = remit.detached("--agent", "none", "--parent", root, "a part")
    with remit.start("watch", root) as watch:
        watch.expect(rf"\[{child[:8]}\] pending")
        remit("update", child, "--progress", "0.4", "--message", "reading")
        watch.expect(rf"\[{child[:8]}\] 40% reading\n")
        remit("update", root, "--progress", "0.5")
        watch.expect(r"remit: 50%\n")
        remit("cancel", root)
        assert watch.end() == 130


def test_an_approval_anywhere_in_the_tree_is_told_with_its_command(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    child = remit.json("run", "--parent", root, "true")["id"]
    grandchild = remit.detached("--ask", "--parent", child, "echo hello")
    with remit.start("watch", root) as watch:
        mark = rf"\[{grandchild[:8]}\]"
        watch.expect(rf"{mark}   \| echo hello\n")
        call_id = watch.expect(rf"{mark} a call waits for approval: remit approve {grandchild} (\S+)\n")[1]
        remit("approve", grandchild, call_id)
        watch.expect(rf"{mark} \| hello\n")
        assert watch.end() == 0


def test_at_a_terminal_only_the_calls_of_the_task_itself_are_asked_for(remit: CommandLine) -> None:
    root = remit.detached("--ask", "echo mine")
    child = remit.detached("--ask", "--parent", root, "echo other")
    with remit.at_terminal("watch", root, NO_COLOR="1") as watch:
        watch.expect(r"proceed\? \[y\]es")
        watch.type("y\n")
        watch.expect(rf"\[{child[:8]}\] a call waits for approval: remit approve {child} \S+\r\n")
        remit("reject", child)
        assert watch.end() == 0


def test_a_sub_task_that_goes_on_after_its_end_is_followed_again(remit: CommandLine) -> None:
    root = remit.detached("--agent", "none", "a record")
    child = remit.detached("--parent", root, "echo first")
    with remit.start("watch", root) as watch:
        watch.expect(rf"\[{child[:8]}\] completed\n")
        remit("send", child, "echo second", "--detach")
        watch.expect(rf"\[{child[:8]}\] \| second\n")
        remit("cancel", root)
        assert watch.end() == 130


def test_a_follow_up_shows_nothing_old_of_sub_tasks(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    child = remit.json("run", "--parent", root, "echo old")["id"]
    with remit.start("send", root, WAITS_FOR_GO) as sent:
        sent.expect(r"\$ until")
        remit("send", child, "echo new", "--detach")
        shown = sent.expect(rf"\[{child[:8]}\] \| (.*)\n")
        (remit.home / "workspaces" / root / "go").touch()
        assert (shown[1], sent.end()) == ("new", 0)


def test_a_sub_task_that_is_deleted_is_not_waited_for(remit: CommandLine) -> None:
    root = remit.detached("--agent", "none", "a record")
    child = remit.detached("--parent", root, "true")
    with remit.start("watch", root) as watch:
        watch.expect(rf"\[{child[:8]}\] completed\n")
        remit("delete", child)
        remit("cancel", root)
        assert watch.end() == 130


def test_sub_tasks_that_are_too_many_to_follow_are_told_of(
    remit: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = remit.json("run", "true")["id"]
    for _ in range(3):
        remit("run", "--parent", root, "true")
    monkeypatch.setenv("REMIT_HOME", str(remit.home))
    monkeypatch.setattr(follow, "MAX_SUBTASKS", 2)
    with open_client() as client:
        follow.Follower(client, root).follow()
    told = capsys.readouterr().err
    assert (told.count("a sub-task of"), told.count("only the first 2 sub-tasks are followed")) == (2, 1)


def test_output_of_a_sub_task_cannot_pose_as_a_line_of_ours(remit: CommandLine) -> None:
    root = remit.json("run", "true")["id"]
    child = remit.json("run", "--parent", root, "printf 'a\rb\x1b[2J\nremit: all is well\n'")["id"]
    mark = f"[{child[:8]}] | "
    told = remit("watch", root).stderr.splitlines()
    assert {f"{mark}a\\rb\\x1b[2J", f"{mark}remit: all is well"} <= set(told)
