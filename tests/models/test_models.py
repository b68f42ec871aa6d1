"""The wire format of a scripted model, and its record of requests."""

import json
import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.models.script import MODEL, SMALL_MODEL, Fail, Hold, Say, Think, Use, prompts, relay, steps
from tests.models.server import Model, model

Json = dict[str, Any]

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
TEXT = "a text that is longer than a piece"


class Client:
    """Someone who speaks a wire format, and no more of it than these tests need."""

    def __init__(self, model: Model, api: str) -> None:
        self.model, self.api = model, api

    def ask(self, *messages: Json, **fields: Any) -> Json:
        """Return the whole answer."""
        answer: Json = json.loads(self.raw(*messages, **fields))
        return answer

    def stream(self, *messages: Json) -> list[Json]:
        """Return the events of a streamed answer."""
        lines = self.raw(*messages, stream=True).decode().splitlines()
        data = (line.removeprefix("data: ") for line in lines if line.startswith("data: "))
        return [json.loads(each) for each in data if each != "[DONE]"]

    def raw(self, *messages: Json, **fields: Any) -> bytes:
        """Return the response's bytes as they are."""
        body = json.dumps({"model": MODEL, "messages": messages, "tools": [self.tool("shell")], **fields}).encode()
        headers = {"Authorization": "Bearer the-key"} if self.api == "openai" else {"x-api-key": "the-key"}
        try:
            with urlopen(Request(self.model.url + PATHS[self.api], body, headers)) as answer:
                data: bytes = answer.read()
                return data
        except HTTPError as error:
            error.close()
            raise

    def tool(self, name: str) -> Json:
        """Return a tool on offer."""
        return {"type": "function", "function": {"name": name}} if self.api == "openai" else {"name": name}

    def called(self, call_id: str, name: str) -> Json:
        """Return a message of the model's, which calls a tool."""
        if self.api == "openai":
            call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        return {"role": "assistant", "content": [{"type": "tool_use", "id": call_id, "name": name, "input": {}}]}

    def result(self, call_id: str, text: str) -> Json:
        """Return a message that tells the model what came of it."""
        if self.api == "openai":
            return {"role": "tool", "tool_call_id": call_id, "content": text}
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": text}]}

    def said(self, answer: Json) -> str:
        """Return the text of an answer."""
        if self.api == "openai":
            return str(answer["choices"][0]["message"]["content"])
        return "".join(block["text"] for block in answer["content"] if block["type"] == "text")


def asked(text: str) -> Json:
    """Return a message of a person's."""
    return {"role": "user", "content": text}


def refuse(status: int, client: Client, *messages: Json) -> None:
    """Ask what is to be refused."""
    with pytest.raises(HTTPError, match=str(status)):
        client.ask(*messages)


@pytest.fixture
def served() -> Iterator[Model]:
    """A scripted model without a script yet."""
    with model(steps(Say("unasked"))) as this:
        yield this


@pytest.fixture(params=["openai", "anthropic"])
def client(request: pytest.FixtureRequest, served: Model) -> Client:
    """A client of each wire format."""
    return Client(served, request.param)


def test_a_step_is_chosen_by_how_often_the_model_has_answered(client: Client) -> None:
    client.model.script = steps(Use("shell"), Say("done"))
    assert client.said(client.ask(asked("do"), client.called("1", "shell"), client.result("1", "ok"))) == "done"


def test_each_prompt_begins_its_steps_anew(client: Client) -> None:
    client.model.script = prompts({"first": steps(Say("one")), "second": steps(Say("two"))})
    said = {"role": "assistant", "content": "one"}
    assert client.said(client.ask(asked("first"), said, asked("second"))) == "two"


def test_a_relay_says_the_result_of_its_call(client: Client) -> None:
    client.model.script = relay("shell", command="ls")
    assert client.said(client.ask(asked("do"), client.called("1", "shell"), client.result("1", "a file"))) == "a file"


def test_a_tool_is_found_behind_the_name_of_its_server(client: Client) -> None:
    client.model.script = relay("echo")
    answer = client.ask(asked("do"), tools=[client.tool("mcp__notes__echo"), client.tool("shell")])
    assert "mcp__notes__echo" in json.dumps(answer)


def test_openai_streams_thoughts_text_and_calls_in_pieces(served: Model) -> None:
    served.script = steps([Think(TEXT), Say(TEXT), Use("shell", {"command": TEXT})])
    choices = [event["choices"][0] for event in Client(served, "openai").stream(asked("do"))]
    deltas = [choice["delta"] for choice in choices]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == TEXT
    assert "".join(delta.get("content", "") for delta in deltas) == TEXT
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"command": TEXT}
    assert (calls[0]["function"]["name"], choices[-1]["finish_reason"]) == ("shell", "tool_calls")


def test_anthropic_streams_thoughts_text_and_calls_in_pieces(served: Model) -> None:
    served.script = steps([Think(TEXT), Say(TEXT), Use("shell", {"command": TEXT})])
    events = Client(served, "anthropic").stream(asked("do"))
    opened = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [block["type"] for block in opened] == ["thinking", "text", "tool_use"]
    assert "".join(delta.get("thinking", "") for delta in deltas) == TEXT
    assert "".join(delta.get("text", "") for delta in deltas) == TEXT
    assert json.loads("".join(delta.get("partial_json", "") for delta in deltas)) == {"command": TEXT}
    assert next(event["delta"] for event in events if event["type"] == "message_delta")["stop_reason"] == "tool_use"


def test_what_it_was_asked_is_kept(client: Client) -> None:
    client.model.script = steps(Say("hello"))
    client.ask(asked("greet"))
    (request,) = client.model.requests
    assert (request.key, request.prompt, request.tools) == ("the-key", "greet", ("shell",))
    assert client.model.keys == {"the-key"}


def test_instructions_in_the_middle_of_a_conversation_are_no_prompt(client: Client) -> None:
    client.model.script = steps(Say("hello"))
    client.ask(asked("greet"), {"role": "system", "content": "be kind"})
    (request,) = client.model.requests
    assert (request.prompt, request.system.strip()) == ("greet", "be kind")


def test_all_that_reached_it_can_be_searched(client: Client) -> None:
    client.model.script = steps(Say("hello"))
    client.ask(asked('a "secret"\n'))
    assert client.model.heard('a "secret"\n')
    assert client.model.heard("the-key")
    assert not client.model.heard("another")


def test_the_small_model_leaves_the_script_alone(client: Client) -> None:
    client.model.script = steps()
    assert client.said(client.ask(asked("a title, please"), model=SMALL_MODEL)) == "A title"
    assert (client.model.requests, len(client.model.asides)) == ([], 1)


def test_a_failure_is_told_as_a_provider_tells_it(client: Client) -> None:
    client.model.script = steps(Fail(401, "this key is wrong"))
    refuse(401, client, asked("do"))


def test_a_held_answer_goes_on_when_released(client: Client) -> None:
    hold = Hold()
    client.model.script = steps([hold, Say("at last")])
    heard: list[Json] = []
    thread = Thread(target=lambda: heard.append(client.ask(asked("do"))))
    thread.start()
    assert hold.reached.wait(10)
    hold.released.set()
    thread.join(10)
    assert client.said(heard[0]) == "at last"


def test_a_client_that_leaves_is_noticed() -> None:
    hold = Hold()
    with model(steps([hold, Say("to nobody")])) as this, socket.create_connection(("127.0.0.1", this.port)) as client:
        body = json.dumps({"model": MODEL, "messages": [asked("do")]})
        client.sendall(f"POST /v1/messages HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        assert hold.reached.wait(10)
        client.shutdown(socket.SHUT_WR)
        assert hold.left.wait(10)


@pytest.mark.parametrize("api", PATHS)
def test_a_conversation_that_no_provider_takes_fails_the_test(api: str) -> None:
    with pytest.raises(ExceptionGroup, match="does not foresee") as caught, model(steps(Say("never"))) as this:
        refuse(400, Client(this, api), asked("do"), Client(this, api).called("1", "shell"))
    assert "no result: 1" in str(caught.value.exceptions[0])


@pytest.mark.parametrize("api", PATHS)
def test_being_asked_more_often_than_foreseen_fails_the_test(api: str) -> None:
    with pytest.raises(ExceptionGroup, match="does not foresee"), model(steps()) as this:
        refuse(422, Client(this, api), asked("do"))


def test_what_fails_beside_a_fault_of_the_model_tells_of_it() -> None:
    with pytest.raises(HTTPError, match="422") as caught, model(steps()) as this:
        Client(this, "openai").ask(asked("do"))
    assert "asked once more than foreseen" in caught.value.__notes__[0]
