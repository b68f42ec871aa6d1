"""Tasks as records at the terminal: what waits for what, and reports on tasks that others do."""

from tests.cli.command_line import CommandLine


def test_a_graph_shows_each_task_of_a_list_with_what_it_waits_for(remit: CommandLine) -> None:
    first = remit.detached("--agent", "none", "--list", "w1", "design")
    second = remit.detached("--agent", "none", "--list", "w1", "--after", first, "build")
    assert remit("graph", "w1").stdout == (
        f"{first[:8]}  {'pending':<17}  design\n{second[:8]}  {'blocked':<17}  build  after {first[:8]}\n"
    )


def test_a_task_shows_what_it_belongs_to_and_waits_for(remit: CommandLine) -> None:
    first = remit.detached("--agent", "none", "--list", "w2", "design")
    second = remit.detached("--list", "w2", "--parent", first, "--after", first, "true")
    shown = remit("show", second).stdout
    for line in ("list        w2", f"part of     {first}", f"depends on  {first} (waits for it)"):
        assert f"  {line}\n" in shown


def test_a_report_of_what_was_done_starts_what_waited_for_it(remit: CommandLine) -> None:
    first = remit.detached("--agent", "none", "design")
    second = remit.detached("--after", first, "echo built")
    assert remit("update", first, "--status", "completed", "--result", "the plan").stdout == "the task is completed\n"
    watched = remit("watch", second)
    assert (watched.returncode, watched.stdout) == (0, "built\n")
    assert remit.json("show", first)["result"] == "the plan"


def test_a_task_that_nobody_here_executes_says_how_its_end_is_reported(remit: CommandLine) -> None:
    with remit.start("run", "--agent", "none", "paint the fence") as run:
        task_id = run.expect(r"nobody here executes it: `remit update (\S+) --status completed`")[1]
        remit("update", task_id, "--status", "completed")
        assert run.end() == 0


def test_an_empty_text_takes_a_task_out_of_its_list(remit: CommandLine) -> None:
    task_id = remit.detached("--agent", "none", "--list", "w3", "design")
    remit("update", task_id, "--list", "")
    assert "taskListId" not in remit.json("show", task_id)


def test_watching_a_task_that_waits_for_another_says_so(remit: CommandLine) -> None:
    first = remit.detached("--agent", "none", "design")
    with remit.start("run", "--after", first, "echo built") as run:
        run.expect(f"the task waits for {first}")
        remit("update", first, "--status", "completed")
        run.expect("built")


def test_a_task_that_has_made_its_calls_says_how_to_go_on(remit: CommandLine) -> None:
    with remit.start("run", "--max-calls", "1", "$ echo one\n$ echo two") as run:
        task_id = run.expect(r"to let it make as many again: remit send (\S+)")[1]
        remit("send", "--detach", task_id)
        run.expect("two")


def test_every_pause_of_a_task_that_is_watched_is_told(remit: CommandLine) -> None:
    task_id = remit.detached("--max-calls", "1", "$ echo one\n$ echo two\n$ echo three")
    with remit.start("watch", task_id) as watch:
        for _ in range(2):
            watch.expect(f"to let it make as many again: remit send {task_id}")
            remit("send", "--detach", task_id)
        watch.expect("three")
        assert watch.end() == 0


def test_every_block_of_a_task_that_is_watched_is_told(remit: CommandLine) -> None:
    task_id = remit.detached("--agent", "none", "a record")
    with remit.start("watch", task_id) as watch:
        for reason in ("the customer", "the lawyer", "the customer"):
            remit("update", task_id, "--status", "blocked", "--reason", reason)
            watch.expect(f"remit: the task is blocked: {reason}\n")
        remit("cancel", task_id)
        watch.end()


def test_a_block_is_told_once(remit: CommandLine) -> None:
    task_id = remit.detached("--agent", "none", "a record")
    with remit.start("watch", task_id) as watch:
        remit("update", task_id, "--status", "blocked", "--reason", "the customer")
        watch.expect("remit: the task is blocked: the customer\n")
        remit("update", task_id, "--progress", "0.5")
        watch.expect("remit: 50%\n")
        remit("cancel", task_id)
        watch.end()
        assert "blocked" not in watch.shown


def test_a_task_that_others_wait_for_is_deleted_with_cascade(remit: CommandLine) -> None:
    first = remit.detached("--agent", "none", "design")
    second = remit.detached("--agent", "none", "--after", first, "build")
    refused = remit("delete", first)
    assert (refused.returncode, "cascade" in refused.stderr) == (1, True)
    assert remit("delete", "--cascade", first).stdout == f"deleted {second}\ndeleted {first}\n"


def test_a_list_can_be_narrowed_to_one_list_one_worker_and_to_words(remit: CommandLine) -> None:
    first = remit.detached("--agent", "none", "--list", "w4", "paint the fence")
    second = remit.detached("--agent", "none", "--list", "w4", "mow the lawn")
    remit("update", second, "--assigned", "gardener")
    for options, expected in (
        (("--list", "w4"), [second, first]),
        (("--list", "w4", "--assigned", "gardener"), [second]),
        (("--list", "w4", "--query", "FENCE"), [first]),
    ):
        assert [task["id"] for task in remit.json("list", *options)["tasks"]] == expected
