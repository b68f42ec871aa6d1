"""The encodings of a value by programs, written down apart from the code under test."""

import html
import json
import quopri
import re
import shlex
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

Encoding = Callable[[str], str]


def lower_escapes(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda escape: escape.group().lower(), text)


ENCODINGS: dict[str, Encoding] = {
    "plain": lambda value: value,
    "base64": lambda value: b64encode(value.encode()).decode(),
    "base64, no padding": lambda value: b64encode(value.encode()).decode().rstrip("="),
    "base64, wrapped": lambda value: encodebytes(value.encode()).decode().rstrip("\n"),
    "base64, URL-safe": lambda value: urlsafe_b64encode(value.encode()).decode(),
    "base64, URL-safe, no padding": lambda value: urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "hex": lambda value: value.encode().hex(),
    "hex, upper case": lambda value: value.encode().hex().upper(),
    "hex, wrapped by CRLF": lambda value: "\r\n".join(re.findall(".{1,60}", value.encode().hex())),
    "quote": quote,
    "quote, nothing safe": lambda value: quote(value, safe=""),
    "quote, lower case": lambda value: lower_escapes(quote(value, safe="")),
    "quote_plus": quote_plus,
    "quote_plus, lower case": lambda value: lower_escapes(quote_plus(value)),
    "a form's field": lambda value: urlencode({"": value})[1:].replace("%2A", "*").replace("~", "%7E"),
    "encodeURIComponent": lambda value: quote(value, safe="!'()*"),
    "encodeURI": lambda value: quote(value, safe="!#$&'()*+,/:;=?@"),
    "a URL's path": lambda value: quote(value, safe="!$&'()*+,;=:@"),
    "every byte": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "every byte, lower case": lambda value: "".join(f"%{byte:02x}" for byte in value.encode()),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON, not only ASCII": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "JSON, slashes escaped": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "JSON, not only ASCII, slashes escaped": lambda value: json.dumps(value, ensure_ascii=False)[1:-1].replace(
        "/", "\\/"
    ),
    "JSON, safe in HTML": lambda value: (
        json.dumps(value, ensure_ascii=False)[1:-1]
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
    ),
}


def escaped(text: str, characters: str, form: str = "\\u{:04X}") -> str:
    """Return `text` with these characters as their numbers."""
    return "".join(form.format(ord(each)) if each in characters else each for each in text)


def in_json(value: str) -> str:
    return json.dumps(value)[1:-1]


def in_bytes(value: str) -> str:
    """Return what Python shows of bytes, or bash with printf %q where its locale is C, between the quotation marks."""
    return repr(value.encode() + b'"')[2:-2]


def in_octal(value: str) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in in_quotes(value).encode())


def in_quotes(value: str) -> str:
    """Return `value` as bash shows it in $'…', but for what cannot be printed."""
    return value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t")


def percent(value: str, safe: str, *, plus: bool = False) -> str:
    encoded = quote(value, safe=safe).replace("~", "~" if "~" in safe else "%7E")
    return encoded.replace("%20", "+") if plus else encoded


def colored(value: str) -> str:
    """Return `value` as grep --color=always shows it where it has found a part of it."""
    return f"{value[:2]}\x1b[01;31m\x1b[K{value[2:5]}\x1b[m\x1b[K{value[5:]}"


def in_braces(value: str) -> str:
    """Return `value` as Rust shows what is not ASCII with `escape_unicode`."""
    return "".join(each if each.isascii() else f"\\u{{{ord(each):x}}}" for each in value)


ESCAPES: dict[str, Encoding] = {
    "JSON of .NET": lambda value: escaped(in_json(value).replace('\\"', '"'), "\"&'+<>`").replace("\x7f", "\\u007F"),
    "JSON of Gson": lambda value: escaped(in_json(value), "<>&='", "\\u{:04x}"),
    "JSON of PHP": lambda value: in_json(value).replace("/", "\\/"),
    "JSON in upper case": lambda value: escaped(in_json(value), "äüß<>&"),
    "JSON within JSON": lambda value: in_json(in_json(value)),
    "JSON within JSON within JSON": lambda value: in_json(in_json(in_json(value))),
    "every character in JSON": lambda value: (
        in_json(escaped(value, value)).replace("\\\\", "\\") if max(value) < "\ud800" else in_json(value)
    ),
    "URL of Go, a path": lambda value: percent(value, "$&+:=@~"),
    "URL of Go, a query": lambda value: percent(value, "~", plus=True),
    "URL of .NET": lambda value: (
        percent(value, "!()*", plus=True).lower()
        if value.isascii() and value.islower()
        else lower_escapes(percent(value, "!()*", plus=True))
    ),
    "URL of requests": lambda value: quote(value, safe="!#$%&'()*+,/:;=?@[]~") if "%" not in value else quote(value),
    "a URL within a URL": lambda value: quote(quote(value, safe=""), safe=""),
    "a URL in JSON": lambda value: in_json(quote(value, safe="!$&'()*+,;=:@")).replace("&", "\\u0026"),
    "bytes of Python": in_bytes,
    "a string of Python": lambda value: repr(value + '"')[1:-2],
    "HTML": html.escape,
    "HTML of Go": lambda value: escaped(html.escape(value, quote=False), "\"'+", "&#{};"),
    "HTML in hexadecimal": lambda value: "".join(
        each if each.isalnum() and each.isascii() else f"&#x{ord(each):X};" for each in value
    ),
    "HTML of HTML": lambda value: html.escape(html.escape(value)),
    "export -p of dash": lambda value: shlex.quote(f"{value} ")[1:-2],
    "set of bash": lambda value: value.replace("'", "'\\''"),
    "export -p of bash": lambda value: re.sub(r'([\\"$`])', r"\\\1", value),
    "printf %q of bash": lambda value: re.sub(r"([^0-9A-Za-z_\r\n\x80-\U0010ffff])", r"\\\1", value),
    "printf %q of bash, quoted": in_quotes,
    "printf %q of bash, in octal": in_octal,
    "grep with colors": colored,
    "a string of Rust": in_braces,
    "a field of CSV": lambda value: value.replace('"', '""'),
    "a text of SQL": lambda value: value.replace("'", "''"),
    "a mail": lambda value: quopri.encodestring(value.encode()).decode(),
}
"""How programs escape a value, character by character."""
