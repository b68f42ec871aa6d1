"""`<<mcp.KEY>>` and `{{mcp.KEY}}`: the one thing that is filled into a text, and nothing else in it."""

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from itertools import count

from jinja2 import StrictUndefined, UndefinedError
from jinja2.environment import TemplateExpression
from jinja2.filters import FILTERS
from jinja2.sandbox import SandboxedEnvironment

from server.errors import Code, RemitError

MOST_FILTERS = 4
"""Filters after one key: each b64encode makes a text longer by a third, fifty of them a letter into ten megabytes."""

MOST_FILLED = 128 * 1024
"""Characters of a text with its templates filled in: no program can be given a longer one (MAX_ARG_STRLEN)."""

_LITERAL = r"""'(?:[^'\\\r\n]|\\[^\r\n])*+' | "(?:[^"\\\r\n]|\\[^\r\n])*+" """
_SPAN = re.compile(
    rf"""
    (?: (?P<angle> << ) | \{{\{{ ) [ \t]*+ mcp\.
    (?:
        (?P<key> [A-Za-z_][A-Za-z0-9_]*+ )
        (?P<filters> (?:
            [ \t]*+ \| [ \t]*+
            (?: b64encode | urlencode | trim
              | default \( [ \t]*+ (?: {_LITERAL} ) [ \t]*+ \)
            )
        ){{0,{MOST_FILTERS}}}+ )
        [ \t]*+ (?(angle) >> | \}}\}} )
      |
        # Closed by its own mark, but not what may stand there: told to the caller rather than passed on.
        (?: (?! << | >> | \{{\{{ | \}}\}} ) [^\r\n] )*+ (?(angle) >> | \}}\}} )
    )
    """,
    re.VERBOSE,
)

_LITERALS = re.compile(_LITERAL, re.VERBOSE)


def resolve(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with every `<<mcp.KEY>>` and `{{mcp.KEY}}` replaced by the value of KEY.

    KEY may be followed by the Jinja2 filters `default('x')` (for a missing key only), `b64encode`, `urlencode`
    and `trim`. All else is left as it is, and what was filled in is not looked at again.

    Raises:
        RemitError: `TEMPLATE_ERROR`, for a missing key (`details["key"]`) or a span that is not understood
            (`details["span"]`), or where the text becomes longer than `MOST_FILLED`. It never shows a value.
    """
    if "mcp." not in text:
        return text
    filled: list[str] = []
    room, end = MOST_FILLED, 0
    for span in _SPAN.finditer(text):
        filled += text[end : span.start()], _evaluate(span, values)
        room, end = room - len(filled[-2]) - len(filled[-1]), span.end()
        if room < 0:
            raise RemitError(
                Code.TEMPLATE_ERROR, f"A text is longer than {MOST_FILLED} characters once its templates are filled in."
            )
    return "".join((*filled, text[end:]))


def derived(text: str, secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what becomes of the spans of `text` that refer to one of `secrets`, after the key of that secret.

    Raises:
        RemitError: `TEMPLATE_ERROR`, as `resolve` does for such a span.
    """
    spans = (span for span in _SPAN.finditer(text) if span["key"] in secrets)
    return list(dict.fromkeys((span["key"], _evaluate(span, secrets)) for span in spans))


def _evaluate(span: re.Match[str], values: Mapping[str, str]) -> str:
    key: str | None = span["key"]
    if key is None:
        raise _not_understood(span)
    known = {"value": values[key]} if key in values else {}
    literals = _LITERALS.findall(span["filters"])
    try:
        known |= {f"literal{number}": _unescaped(literal) for number, literal in enumerate(literals)}
        return str(_compile(_named(span["filters"]))(known))
    except UnicodeDecodeError:  # a broken escape in a literal
        error = _not_understood(span)
    except UndefinedError:
        error = _missing(key)
    except UnicodeEncodeError:  # half a surrogate pair
        error = RemitError(Code.TEMPLATE_ERROR, f"The value of {key} is not valid Unicode.", key=key)
    raise error  # out here, so that no exception with the value inside hangs on to it


def _not_understood(span: re.Match[str]) -> RemitError:
    return RemitError(
        Code.TEMPLATE_ERROR,
        f"{span[0]} is not understood: write mcp.KEY between the marks, and after it no filter "
        f"but default('x'), b64encode, urlencode and trim, {MOST_FILTERS} at most.",
        span=span[0],
    )


def _missing(key: str) -> RemitError:
    return RemitError(
        Code.TEMPLATE_ERROR,
        f"{key} is neither among the task's secrets nor in its env: add it, or write a default.",
        key=key,
    )


def _encode(value: str) -> str:
    return b64encode(value.encode()).decode()


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    environment.globals.clear()
    environment.tests.clear()
    environment.filters = {name: FILTERS[name] for name in ("default", "urlencode", "trim")}
    environment.filters["b64encode"] = _encode
    return environment


_ENVIRONMENT = _environment()


def _named(filters: str) -> str:
    """The filters without blanks, and with the names of variables for their literals: there are a few hundred such."""
    numbers = count()
    return "".join(_LITERALS.sub(lambda _: f"literal{next(numbers)}", filters).split())


def _unescaped(literal: str) -> str:
    """What a literal stands for, as Jinja2 reads it. Raises UnicodeDecodeError for a broken escape."""
    return literal[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")


@lru_cache(maxsize=512)
def _compile(filters: str) -> TemplateExpression:
    """Compile what is done with a value.

    The key is looked up by us: as a name or an attribute in Jinja2, `not` would be an operator and `items` a method.
    """
    return _ENVIRONMENT.compile_expression(f"value{filters}", undefined_to_none=False)
