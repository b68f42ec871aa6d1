"""How programs encode a value, written down apart from the code under test."""

import json
import re
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
