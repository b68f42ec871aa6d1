"""The declarations of tools/list: small, easy to find, and within the strict subsets of OpenAI and Gemini."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.profiles.google import GoogleJsonSchemaTransformer
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer

from server.mcp.tools import TOOLS
from tests.servers import Host

HOSTS = Path(__file__).parents[2] / "docs" / "hosts.md"

TOP = """message systemPrompt showInHistory autoExecute files env secrets secretNames agentId workspace title dependsOn
taskListId"""
NOT_STRICT = {"create_task", "send_message", "update_task"}
REFUSED = {"patternProperties", "$ref", "$defs", "const", "default", "oneOf", "allOf", "minLength", "maxLength"}


@pytest.fixture
async def tools(host: Host) -> dict[str, dict[str, Any]]:
    """The definitions by name, as they come over the wire."""
    listed = (await host.client.list_tools()).tools
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed}


async def test_what_a_model_reads_of_the_tools_is_small(tools: dict[str, dict[str, Any]]) -> None:
    read = [{name: tool[name] for name in ("name", "description", "inputSchema")} for tool in tools.values()]
    assert len(json.dumps(read, separators=(",", ":")).encode()) <= 10_240
    assert len(json.dumps(list(tools.values()), separators=(",", ":")).encode()) <= 24_576


async def test_no_schema_says_what_openai_or_gemini_refuses(tools: dict[str, dict[str, Any]]) -> None:
    for tool in tools.values():
        for node in nodes(tool["inputSchema"]):
            assert not REFUSED & node.keys(), node
            assert isinstance(node.get("type", ""), str), node


async def test_every_parameter_is_described(tools: dict[str, dict[str, Any]]) -> None:
    for tool in tools.values():
        for node in nodes(tool["inputSchema"]):
            for name, parameter in node.get("properties", {}).items():
                assert parameter.get("description"), (tool["name"], name)


def test_what_is_taken_and_not_listed_is_documented() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (`[^;|]*`)", HOSTS.read_text().partition("do not list")[2])
    documented = {tool: set(re.findall(r"`(\w+)`", fields)) for tool, fields in rows}
    assert documented == {name: set(tool.request.unlisted) for name, tool in TOOLS.items() if tool.request.unlisted}


@pytest.mark.parametrize("name", sorted(TOOLS))
async def test_null_may_be_said_for_what_is_optional(tools: dict[str, dict[str, Any]], name: str) -> None:
    schema = tools[name]["inputSchema"]
    for parameter, declared in schema["properties"].items():
        optional = parameter not in schema.get("required", [])
        assert ({"type": "null"} in declared.get("anyOf", [])) == optional, parameter


async def test_the_tools_that_openai_can_be_strict_about_lose_nothing_by_it(tools: dict[str, dict[str, Any]]) -> None:
    for name in tools.keys() - NOT_STRICT:
        schema = tools[name]["inputSchema"]
        strict = OpenAIJsonSchemaTransformer(copy.deepcopy(schema), strict=True).walk()
        required = list(schema["properties"])
        assert strict == {**schema, "required": required, "additionalProperties": False}
        assert all("additionalProperties" not in node for node in nodes(schema))


async def test_gemini_is_shown_every_parameter(tools: dict[str, dict[str, Any]]) -> None:
    for tool in tools.values():
        shown = GoogleJsonSchemaTransformer(copy.deepcopy(tool["inputSchema"])).walk()
        assert names(shown) == names(tool["inputSchema"])


async def test_the_common_parameters_of_create_task_stand_at_the_top(tools: dict[str, dict[str, Any]]) -> None:
    assert tools["create_task"]["inputSchema"]["properties"].keys() == {*TOP.split(), "options"}


async def test_the_tools_to_begin_with_are_loaded_and_found(tools: dict[str, dict[str, Any]]) -> None:
    loaded = {name for name, tool in tools.items() if tool.get("_meta", {}).get("anthropic/alwaysLoad")}
    assert loaded == {"create_task", "get_task"}
    assert all(tools[name]["_meta"]["anthropic/searchHint"] for name in loaded)


@pytest.mark.parametrize("word", "delegate background run commands tests long-running parallel sandbox".split())
async def test_create_task_is_found_by_what_people_search_for(tools: dict[str, dict[str, Any]], word: str) -> None:
    assert word in tools["create_task"]["description"].lower()


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema within a schema."""
    yield schema
    below = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
    below += [schema[name] for name in ("items", "additionalProperties") if name in schema]
    for each in below:
        yield from nodes(each)


def names(schema: Any) -> list[list[str]]:
    """Return the names of the parameters, of each object."""
    return [list(node["properties"]) for node in nodes(schema) if "properties" in node]
