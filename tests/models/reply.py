"""An answer on its way to a client, whatever the wire format."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from secrets import token_hex

from tests.models.conversation import Request
from tests.models.script import Hold, Say, Step, Think, Use

PIECE = 7
"""Characters of a piece: whatever is longer comes in several."""

CHARACTERS_PER_TOKEN = 4
"""What providers tell people to reckon with; here it is exact."""

Part = bytes | Hold
"""What is sent, and where the sending pauses."""


@dataclass(frozen=True)
class Reply:
    """The answer that a script chose, and the data that providers add to it."""

    model: str
    steps: Sequence[Step]
    input_tokens: int
    id: str = field(default_factory=lambda: token_hex(12))

    @classmethod
    def to(cls, request: Request, answer: Step | Sequence[Step]) -> "Reply":
        """Make the one to a request."""
        steps = answer if isinstance(answer, Sequence) else (answer,)
        return cls(request.model, steps, _tokens(request.raw.decode(errors="replace")))

    @property
    def output_tokens(self) -> int:
        """Of all that is said, thought and asked of tools."""
        return _tokens(self.said + self.thought + "".join(f"{use.tool}{use.args}" for use in self.uses))

    @property
    def said(self) -> str:
        """All that it says."""
        return "".join(step.text for step in self.steps if isinstance(step, Say))

    @property
    def thought(self) -> str:
        """All that it thinks."""
        return "".join(step.text for step in self.steps if isinstance(step, Think))

    @property
    def uses(self) -> list[Use]:
        """The calls it asks for, in order."""
        return [step for step in self.steps if isinstance(step, Use)]

    @property
    def holds(self) -> list[Hold]:
        """The pauses it makes."""
        return [step for step in self.steps if isinstance(step, Hold)]


def pieces(text: str) -> Iterator[str]:
    """Cut a text up, as a stream does."""
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def _tokens(text: str) -> int:
    return len(text) // CHARACTERS_PER_TOKEN + 1
