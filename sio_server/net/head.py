"""The head of an HTTP request, as far as the front has to know it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from multidict import CIMultiDict, CIMultiDictProxy

MAX_HEAD_BYTES = 16_384
"""The largest request line and headers together."""

MAX_KEPT_HEAD_BYTES = 2_048
"""The largest head that a connection keeps for its next request."""

MAX_HEADER_FIELDS = 100
"""The most header fields of a request."""

_END = b"\r\n\r\n"
_FIRST_BYTES = frozenset(range(0x21, 0x7F))
_SIMPLE_LINE = r"(GET|POST) (%s) HTTP/1\.1"
_FIELDS = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*\r\n)+\r\n")
_FIELD = re.compile(r"([^:]+):[\t ]*([^\r]*)\r\n")
_BODY_FIELDS = re.compile(
    rb"\r\n(content-length|transfer-encoding)[\t ]*:[\t ]*([^\r\n]*)", re.IGNORECASE
)
_MAX_LENGTH_DIGITS = 9


def may_begin(received: bytearray) -> bool:
    """Tell whether these bytes can begin an HTTP request. Those of a TLS client cannot."""
    return not received or received[0] in _FIRST_BYTES


def is_http1(head: bytes) -> bool:
    """Tell whether a head is not the beginning of an HTTP/2 connection (RFC 9113, 3.4)."""
    return not head.startswith(b"PRI ")


def find_end(received: bytearray) -> int:
    """Return the length of the first head among the received bytes; 0 if it has not ended."""
    end = received.find(_END)
    return 0 if end < 0 else end + len(_END)


def count_fields(head: bytes) -> int:
    """Return the number of header fields of a head."""
    return head.count(b"\r\n") - 2


def body_length(head: bytes) -> int | None:
    """Return the length of the body after this head, in bytes.

    None if it does not follow from one plain ``Content-Length``, or from the lack of any, or if
    the method is CONNECT, whose bytes are no body. Such a request is the last one of its
    connection.
    """
    if head.startswith(b"CONNECT "):
        return None
    fields = _BODY_FIELDS.findall(head)
    if not fields:
        return 0
    name, value = fields[0]
    value = value.rstrip(b"\t ")
    is_plain = (
        len(fields) == 1
        and name.lower() == b"content-length"
        and value.isdigit()
        and len(value) <= _MAX_LENGTH_DIGITS
    )
    return int(value) if is_plain else None


class SimpleHead(NamedTuple):
    """A head of which there is only one reading.

    Attributes:
        method: ``GET`` or ``POST``.
        target: the path and the query.
        fields: the header fields as they came.
        headers: the header fields. Several heads of a connection may share them.
        body_bytes: the length of the body.
    """

    method: str
    target: str
    fields: str
    headers: CIMultiDictProxy[str]
    body_bytes: int


class SimpleHeads:
    """Reads the heads of plain requests: those of one path with a query, and some POST requests.

    Args:
        path: with a slash at both ends.
        posts: the targets of the POST requests.
    """

    def __init__(self, path: str, posts: Iterable[str] = ()) -> None:
        targets = [rf"{re.escape(path)}\?[!-~]*", *(f"(?<=POST ){re.escape(it)}" for it in posts)]
        self._line = re.compile(_SIMPLE_LINE % "|".join(targets))

    def parse(self, head: bytes, last: SimpleHead | None = None) -> SimpleHead | None:
        """Return a head; None if it is not simple, or of another path.

        Args:
            head: the request line and the header fields.
            last: the connection's last head. The polls of a client mostly have the same fields.
        """
        line, _, fields = head.decode("latin-1").partition("\r\n")
        found = self._line.fullmatch(line)
        if found is None:
            return None
        method, target = found.groups()
        if last is not None and last.fields == fields and last.method == method:
            return SimpleHead(method, target, fields, last.headers, last.body_bytes)
        return self._parse_fields(method, target, fields)

    @staticmethod
    def _parse_fields(method: str, target: str, fields: str) -> SimpleHead | None:
        if _FIELDS.fullmatch(fields) is None:
            return None
        pairs = _FIELD.findall(fields)
        if " \r" in fields or "\t\r" in fields:
            pairs = [(name, value.rstrip(" \t")) for name, value in pairs]
        headers = CIMultiDictProxy(CIMultiDict(pairs))
        lengths = headers.getall("Content-Length", ("0",) if method == "GET" else ("",))
        length = lengths[0]
        if (
            not length.isdecimal()
            or len(length) > _MAX_LENGTH_DIGITS
            or (method == "GET" and length != "0")
            or len(lengths) > 1
            or "Transfer-Encoding" in headers
            or "Content-Encoding" in headers
            or "Expect" in headers
            or len(headers.getall("Host", ())) != 1
            or any("close" in line.lower() for line in headers.getall("Connection", ()))
        ):
            return None
        return SimpleHead(method, target, fields, headers, int(length))
