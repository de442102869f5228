"""The seam to an application that decides who may come in, and how much each client may send.

The engine asks it before it answers a request, before it opens a session, and for each packet that
costs work without being a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sio_server.net.request import HttpRequest
from sio_server.net.response import TEXT, HttpResponse


class Guest(Protocol):
    """The client of one session."""

    @property
    def is_over_rate(self) -> bool:
        """Whether the client has sent too many packets, so that its events are not decoded."""

    def count(self) -> bool:
        """Count a packet that is no message; return False if the engine must not answer it.

        Raises:
            ProtocolError: the session is to be closed.
        """

    def leave(self) -> None:
        """Note that the session has ended."""


class Door(Protocol):
    """Decides about requests."""

    def check(self, request: HttpRequest) -> HttpResponse | Mapping[str, str]:
        """Check a request. Return headers for its response, or a response that refuses it."""

    def admit(self, request: HttpRequest) -> HttpResponse | Guest:
        """Let a handshake open a session, or return a response that refuses it."""

    def malformed(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Note a request that the engine refuses. Return the response to send."""

    def refuse_head(self) -> HttpResponse:
        """Return the response to a request whose head is too large."""


class _AnyGuest:
    is_over_rate = False

    def count(self) -> bool:
        return True

    def leave(self) -> None:
        pass


class OpenDoor:
    """Lets everybody in, and counts nothing."""

    def check(self, request: HttpRequest) -> Mapping[str, str]:
        """Accept every request without extra headers."""
        return {}

    def admit(self, request: HttpRequest) -> HttpResponse | Guest:
        """Accept every handshake."""
        return ANYBODY

    def malformed(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Send the engine's own response."""
        return response

    def refuse_head(self) -> HttpResponse:
        """Return 431 without a body."""
        return HttpResponse(431, b"", TEXT)


ANYBODY: Guest = _AnyGuest()
