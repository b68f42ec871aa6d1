"""`examples/review.py` has a repository reviewed by two sub-tasks in worktrees, whose answers their parent sums up."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from examples.review import reviewed
from tests import servers
from tests.agents.acp.real import CLAUDE, OPENCODE, Real, installed
from tests.models.conversation import Request
from tests.models.script import Answer, Say, Use
from tests.models.server import Model, model
from tests.tasks.workspaces.projects import contents, git, in_progress, repository

pytestmark = pytest.mark.anyio

CODE = "def half(n):\n    return n * 2  # TODO: halve it\n"
QUESTIONS = ("Is this correct?", "Is this readable?")
Home = Callable[[Path, Model], AbstractContextManager[Path]]


@contextmanager
def _llm(folder: Path, asked: Model) -> Iterator[Path]:
    (folder / "key").write_text("sk-model-key-9f2b71")
    (folder / "remit.toml").write_text(
        f'[agents.llm]\nmodel = "openai:scripted"\nbase_url = "{asked.url}/v1"\n'
        f"api_key = {{ file = {json.dumps(str(folder / 'key'))} }}\n"
    )
    with servers.home(folder) as home:
        yield home


def _real(real: Real) -> Home:
    def home(folder: Path, asked: Model) -> AbstractContextManager[Path]:
        real.require()
        return installed(real, folder, asked)

    return home


# Some agents are shown an answer's text, others its structure.
TASK_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
COMPLETED = re.compile(r'is completed|"status": ?"completed"')
FINDING = re.compile(r"not \w+: \d+ left to do")
CHANGED = re.compile(r'(?:Changed files: \w+ |"path": ?")(\w+\.txt)')


def script(shell: str) -> Callable[[Request], Answer]:
    """Return a parent that reads, gives its sub-tasks the text and two questions, waits, and sums up; and both."""

    def run(command: str) -> Use:
        said = {} if shell == "shell" else {"description": "as told"}
        return Use(shell, {"command": command, **said})

    def parent(request: Request) -> Answer:
        match request.answers:
            case 0:
                return run("cat app.py")
            case 1:
                workspace = {"path": ".", "mode": "worktree"}
                asked = [{"message": question, "workspace": workspace} for question in QUESTIONS]
                return [Use(request.tool("create_task"), each) for each in asked]
            case _:
                told = [result.text for result in request.results[1:]]
                known = {TASK_ID.findall(text)[0]: text for text in told}
                still = [task_id for task_id, text in known.items() if not COMPLETED.search(text)]
                if still:
                    return [Use(request.tool("get_task"), {"id": task_id, "waitSeconds": 45}) for task_id in still]
                found = sorted(set(FINDING.findall(" ".join(known.values()))))
                changed = sorted(set(CHANGED.findall(" ".join(known.values()))))
                return Say(f"Summary: {' | '.join(found)}; mended: {' '.join(changed)}")

    def sub_task(request: Request) -> Answer:
        kind = "correct" if "correct" in request.prompt else "readable"
        if not request.results:
            return run(f"grep -c TODO app.py && echo mended > {kind}.txt && git add . && git commit -qm {kind}")
        return Say(f"not {kind}: {request.results[-1].text.split()[0]} left to do")

    return lambda request: (parent if "is to be reviewed" in request.prompt else sub_task)(request)


@pytest.mark.parametrize(
    ("agent", "home", "shell"),
    [
        ("llm", _llm, "shell"),
        pytest.param("opencode", _real(OPENCODE), "bash", marks=[pytest.mark.namespaces, pytest.mark.npm]),
        pytest.param("claude", _real(CLAUDE), "Bash", marks=[pytest.mark.namespaces, pytest.mark.npm]),
    ],
)
async def test_two_sub_tasks_review_and_their_parent_sums_up(
    tmp_path: Path, agent: str, home: Home, shell: str
) -> None:
    project = repository(tmp_path / "allowed" / "project")
    (project / "app.py").write_text(CODE)
    git(project, "add", ".")
    git(project, "commit", "-qm", "code")
    in_progress(project)
    before = contents(project)
    variables: dict[str, Any] = {"REMIT_WORKSPACES": json.dumps([str(project.parent)])}
    with model(script(shell)) as asked, home(tmp_path, asked) as state:
        async with servers.host(state, **variables) as host:
            with anyio.fail_after(300):
                task = await reviewed(host.client, agent, project)
            assert task["status"] == "completed", (task["error"], task["output"])
            sub_tasks: list[dict[str, Any]] = (await host.call("list_tasks", parentTaskId=task["id"]))["tasks"]
    summary = "Summary: not correct: 1 left to do | not readable: 1 left to do; mended: correct.txt readable.txt"
    assert summary in task["output"]["content"]
    assert contents(project) == before
    for row in sub_tasks:
        assert git(project, "show", "--format=", "--name-only", f"remit/{row['id']}").strip().endswith(".txt")
    assert [(row["agentId"], row["triggeringAgentId"], row["status"]) for row in sub_tasks] == [
        (agent, agent, "completed")
    ] * 2
