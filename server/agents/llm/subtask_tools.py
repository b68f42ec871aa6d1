"""The tools by which the model hands on sub-tasks: this server's own, through its turn."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from server.agents.interface import Answer, Offer, Turn
from server.agents.tool import Tool


def delegation(turn: Turn) -> list[Tool]:
    """The tools that are at hand; none where the task may not hand on any."""
    return [_tool(offer) for offer in turn.offers()]


def _tool(offer: Offer) -> Tool:
    return Tool(
        name=offer.name,
        description=offer.description,
        schema=offer.schema,
        execute=partial(_use, offer.name),
        reads=offer.reads,
        describe=partial(_described, offer.name),
    )


async def _use(name: str, turn: Turn, key: str, args: Mapping[str, Any]) -> Answer:
    return await turn.use(key, name, args)


def _described(name: str, args: Mapping[str, Any]) -> str:
    about = " ".join(str(args.get("message") or args.get("id") or "").split())
    return f"{name.replace('_', ' ').capitalize()}: {about}" if about else name
