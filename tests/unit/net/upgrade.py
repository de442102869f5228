"""An upgrade request for the tests of a WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from multidict import CIMultiDict

from sio_server.net.connection import TcpConnection
from sio_server.net.request import HttpRequest

GOOD_HEADERS = {
    "Host": "localhost",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "WebSocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""The example of RFC 6455, 1.3."""


def upgrade_request(
    detach: Callable[[TcpConnection], None] = lambda _: None, **changes: str | None
) -> HttpRequest:
    """Return an upgrade request.

    Args:
        detach: see ``HttpRequest``.
        changes: changed headers, with ``_`` for ``-``; None: without it. ``method`` is the method.
    """
    headers = GOOD_HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    return HttpRequest(
        headers.pop("method", None) or "GET",
        "/?x=1",
        CIMultiDict({name: value for name, value in headers.items() if value is not None}),
        ("127.0.0.1", 5),
        "http",
        detach,
        lambda: True,
        cast("Any", None),
    )
