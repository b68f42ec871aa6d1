"""Masking: the one way of a run's text to the store and to the answers, which take `MaskedText` and no other.

It does not block the event loop: long texts are masked in steps or in a thread.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from server.json_text import memory
from server.threads import computed, stepped
from storage.records.masked import MaskedArgs, MaskedText
from templates.redaction import MIN_MASKED, Redactor, too_short
from templates.steps import Steps


class MaskedStream:
    """The masking of one text that comes in pieces. If the text is cut off, do not call `finish`."""

    def __init__(self, redactor: Redactor) -> None:
        self._stream = redactor.stream()

    @property
    def held(self) -> int:
        """The number of characters received and not returned yet."""
        return self._stream.held

    def feed(self, text: str) -> MaskedText:
        """Add a piece; return the text so far that was not returned yet, without an end that may begin a secret."""
        return MaskedText(self._stream.feed(text))

    def feeding(self, text: str) -> Steps[MaskedText]:
        """Do what `feed` does, in steps."""
        return MaskedText((yield from self._stream.feeding(text)))

    def finish(self) -> MaskedText:
        """End the text, and return the rest."""
        return MaskedText(self._stream.finish())


class Masker:
    """Masks given secrets (name -> value), and further values given as (name, value)."""

    def __init__(self, secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> None:
        self._redactor = Redactor(secrets, derived)

    @property
    def longest(self) -> int:
        """The most characters that one secret can have in a text."""
        return self._redactor.longest

    @property
    def too_short(self) -> tuple[str, ...]:
        """The names of the secrets that are not masked, because their values are too short."""
        return self._redactor.too_short

    def know(self, secrets: Mapping[str, str], derived: Iterable[tuple[str, str]]) -> None:
        """Replace the secrets to mask, in running streams as well."""
        self._redactor.know(secrets, derived)

    def become(self, other: "Masker") -> None:
        """Replace the secrets to mask by those of another masker, in running streams as well."""
        self._redactor.become(other._redactor)

    def stream(self) -> MaskedStream:
        """Return the masking of one text that comes in pieces."""
        return MaskedStream(self._redactor)

    def short(self, text: str) -> MaskedText:
        """Return a short text, masked."""
        return MaskedText(self._redactor.redact(text))

    async def text(self, text: str, start: int = 0, stop: int | None = None, *, parts: bool = True) -> MaskedText:
        """Return a text, or `text[start:stop]`, masked, including parts of secrets that are cut by its ends.

        Here and below: without `parts`, single lines of multi-line values are not masked.
        """
        return await stepped(len(text), self.masking(text, start, stop, parts=parts))

    def masking(self, text: str, start: int = 0, stop: int | None = None, *, parts: bool = True) -> Steps[MaskedText]:
        """Do what `text` does, in steps."""
        return MaskedText((yield from self._redactor.redacting(text, start, stop, parts=parts)))

    async def beginning(self, text: str) -> MaskedText:
        """Return a text whose end was cut off, masked, without an end that may begin a secret."""
        return await stepped(len(text), self.stream().feeding(text))

    async def content(self, data: bytes, start: int, stop: int) -> tuple[Literal["text", "base64"], MaskedText]:
        """Return `data[start:stop]`, masked like a text: as text if it is UTF-8, else in base64.

        Of values that are not ASCII, the masker must also know the bytes as characters of Latin-1.
        """
        shown = await stepped(len(data), self._redactor.redacting(data.decode("latin-1"), start, stop))
        masked = shown.encode("latin-1")
        try:
            return "text", MaskedText(masked.decode())
        except UnicodeDecodeError:
            return "base64", MaskedText(base64.b64encode(masked).decode())

    async def json(self, value: Any, *, parts: bool = True) -> Any:
        """Return a JSON value with every secret in its texts and names masked."""
        return await stepped(memory(value), _masking(self._redactor, value, parts=parts))

    async def args(self, args: Mapping[str, Any], *, parts: bool = True) -> MaskedArgs:
        """Return the arguments of a call, masked like any JSON value."""
        return MaskedArgs(await self.json(args, parts=parts))

    async def json_text(self, value: Any) -> MaskedText:
        """Return a JSON value with every secret masked, as compact JSON."""
        return await stepped(memory(value), _text_masking(self._redactor, value))

    def containing(self, text: str) -> Steps[str | None]:
        """Return, in steps, the name of the first secret in `text`, single lines of values apart; None if none is."""
        return self._redactor.containing(text)


async def masker(secrets: Mapping[str, str], derived: Iterable[tuple[str, str]] = ()) -> Masker:
    """Return the masker of these secrets, made beside the event loop."""
    known = list(derived)
    size = sum(map(len, secrets.values())) + sum(len(value) for _, value in known)
    return await computed(size, Masker, secrets, known)


NO_SECRETS = Masker({})
"""The masker of a task that never had secrets."""


def not_masked(secrets: Mapping[str, str]) -> list[str]:
    """Return a warning about each of these secrets that is not masked."""
    return [
        f"the secret {name} has fewer than {MIN_MASKED} characters and is too short to be masked in output"
        for name in too_short(secrets)
    ]


def own_words(text: str) -> MaskedText:
    """Return a text of the server's own, in which nothing of a run stands."""
    return MaskedText(text)


def part(text: MaskedText, start: int | None, stop: int | None = None) -> MaskedText:
    """Return `text[start:stop]`."""
    return MaskedText(text[start:stop])


def joined(texts: Iterable[MaskedText], between: str = "") -> MaskedText:
    """Return texts as one."""
    return MaskedText(between.join(texts))


def _masking(redactor: Redactor, value: Any, *, parts: bool) -> Steps[Any]:
    match value:
        case str():
            return (yield from redactor.redacting(value, parts=parts))
        case Mapping():
            shown = {}
            for name, each in value.items():
                name = yield from redactor.redacting(str(name), parts=parts)
                shown[name] = yield from _masking(redactor, each, parts=parts)
            return shown
        case list() | tuple():
            items: list[Any] = [None] * len(value)
            for number, each in enumerate(value):
                items[number] = yield from _masking(redactor, each, parts=parts)
            return items
        case _:
            return value


def _text_masking(redactor: Redactor, value: Any) -> Steps[MaskedText]:
    shown = yield from _masking(redactor, value, parts=True)
    return MaskedText(json.dumps(shown, ensure_ascii=False, separators=(",", ":")))
