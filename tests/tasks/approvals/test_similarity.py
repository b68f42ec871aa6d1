"""The calls that an approval for always covers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tasks.approvals.similarity import digest, keys


def similar(approved: str, later: str, *, is_command: bool = True) -> bool:
    known = [set(keys({"command": command}, is_command=is_command)) for command in (approved, later)]
    return bool(known[0] & known[1])


@given(st.text())
def test_a_command_is_similar_to_itself(command: str) -> None:
    assert similar(command, command)


@pytest.mark.parametrize(
    ("approved", "later"),
    [
        ("git status --short", "git status --long"),
        ("/usr/bin/git status a", "/usr/bin/git status b"),
        ("cat log", "cat log -n"),
        ("ls uploads -a", "ls uploads -l /usr"),
        ("/bin/ls /usr -a", "/bin/ls /usr -l"),
        ("mkdir a", "mkdir a b"),
    ],
)
def test_the_same_first_two_words_of_a_harmless_program_are_similar(approved: str, later: str) -> None:
    assert similar(approved, later)


@pytest.mark.parametrize(
    ("approved", "later"),
    [
        pytest.param("git status", "git push", id="another second word"),
        pytest.param("git status", "git", id="one word alone"),
        pytest.param("cat a", "/bin/cat a", id="another way to call it"),
        pytest.param("ls -a b", "ls -a c", id="an option in the second place"),
        pytest.param("cat a b", "cat a b; rm -rf c", id="a second command"),
        pytest.param("cat a b", "cat a $(rm b)", id="a substitution"),
        pytest.param("cat a b", "cat a b > c", id="a redirection"),
        pytest.param("cat a b", "cat a b | sh", id="a pipe"),
        pytest.param("cat a b", "cat a b & rm c", id="a second command in the background"),
        pytest.param("cat a b", "cat a b\nrm c", id="a second line"),
        pytest.param("A=1 ls b", "A=1 ls c", id="an assignment"),
        pytest.param("cat a b", "cat a ../b", id="a path upwards"),
        pytest.param("cat a b", "cat a /b/../c", id="a path upwards, further on"),
        pytest.param("cat a b", "cat a b/c", id="a relative path"),
        pytest.param("cat a b", "cat\ta b", id="a tab"),
        pytest.param("cat a b", "cat a  'b'", id="quotes"),
        pytest.param("cat a b", "cat a *", id="a pattern"),
    ],
)
def test_what_is_not_the_same_simple_command_is_not_similar(approved: str, later: str) -> None:
    assert not similar(approved, later)


@pytest.mark.parametrize(
    "program", ["./ls", "bin/ls", "/ls", "/tmp/ls", "/usr/local/bin/ls", "/bin/../tmp/ls", "//bin/ls"]
)
def test_a_harmless_name_elsewhere_is_similar_only_to_itself(program: str) -> None:
    assert not similar(f"{program} a b", f"{program} a c")


@pytest.mark.parametrize(
    "words",
    """
    python:a.py python3.12:a.py /usr/bin/python3:a.py node:a.js bash:a awk:a perl:a php-cgi:a java:a make:a
    cmake:a env:A=1 env:ls sudo:ls xargs:ls find:a uv:run npm:run npm:test cargo:run go:run busybox:ls toybox:ls
    prlimit:a valgrind:ls bwrap:a chrt:1 nice:ls timeout:1 watch:ls ssh:a docker:run vim:a less:a man:a
    sort:a tar:a file:a diff:a tee:a dd:if=a date:a uniq:a cp:a mv:a rm:a ln:a chmod:755 sed:p curl:a
    git:push git:log git:show git:diff git:add git:branch git:tag git:grep git:fetch git:commit Ls:a ls2:a
    """.split(),
)
def test_a_program_that_can_do_anything_else_is_similar_only_to_itself(words: str) -> None:
    command = words.replace(":", " ", 1)
    assert not similar(command, f"{command} b")


@pytest.mark.parametrize(
    "command", ["cmake -P a", "java -jar a", "python3 -m x", "git -c a=b status", "git -C /a status", "toybox -x ls"]
)
def test_an_option_before_the_command_is_similar_only_to_itself(command: str) -> None:
    assert not similar(command, f"{command} b")


def test_what_others_execute_is_similar_by_identical_arguments_only() -> None:
    assert similar("git status a", "git status a", is_command=False)
    assert not similar("git status a", "git status b", is_command=False)


def test_a_command_that_is_given_more_than_its_text_is_similar_to_itself_alone() -> None:
    known = [set(keys({"command": f"ls /usr {each}", "folder": "/"}, is_command=True)) for each in "ab"]
    assert not known[0] & known[1]


def test_a_digest_does_not_depend_on_the_order_of_arguments() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
