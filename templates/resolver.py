"""Substitution of the templates `<<mcp.KEY>>` and `{{mcp.KEY}}` in a text; nothing else in it is interpreted."""

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
"""Filters after one key: each b64encode makes a text longer by a third, and fifty turn a letter into 10 MB."""

MOST_FILLED = 128 * 1024
"""Characters of a text after substitution: the kernel's limit for one argument of a program (MAX_ARG_STRLEN)."""

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
        # A template with invalid content: an error, instead of being passed on unchanged.
        (?: (?! << | >> | \{{\{{ | \}}\}} ) [^\r\n] )*+ (?(angle) >> | \}}\}} )
    )
    """,
    re.VERBOSE,
)

_LITERALS = re.compile(_LITERAL, re.VERBOSE)


def resolve(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with every `<<mcp.KEY>>` and `{{mcp.KEY}}` replaced by the value of KEY.

    KEY may be followed by the Jinja2 filters `default('x')` (for a missing key only), `b64encode`, `urlencode`
    and `trim`. All other text is unchanged, and templates in inserted values are not resolved.

    Raises:
        RemitError: `TEMPLATE_ERROR` for a missing key (`details["key"]`), an invalid template (`details["span"]`), or
            a result longer than `MOST_FILLED`. It never shows a value.
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
    """Return (key, result) for each template in `text` that refers to one of `secrets`, each pair once.

    Raises:
        RemitError: `TEMPLATE_ERROR`, as `resolve` does.
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
    raise error  # outside the `except`, so that no exception with the value is attached as its context


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
    """Return the filters without blanks and with variables for their literals: a few hundred different texts."""
    numbers = count()
    return "".join(_LITERALS.sub(lambda _: f"literal{next(numbers)}", filters).split())


def _unescaped(literal: str) -> str:
    """Return the value of a literal as Jinja2 parses it. Raises UnicodeDecodeError for an invalid escape."""
    return literal[1:-1].encode("ascii", "backslashreplace").decode("unicode-escape")


@lru_cache(maxsize=512)
def _compile(filters: str) -> TemplateExpression:
    """Compile the filters, applied to the variable `value`.

    Jinja2 never sees the key: there, `not` would be an operator, and `mcp.items` a method.
    """
    return _ENVIRONMENT.compile_expression(f"value{filters}", undefined_to_none=False)
