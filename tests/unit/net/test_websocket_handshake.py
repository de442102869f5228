"""The opening handshake of a WebSocket: what is accepted, and what is refused."""

from __future__ import annotations

import pytest

from sio_server.net.websocket_handshake import BadHandshake, UnknownVersion, accept_handshake
from tests.unit.net.upgrade import upgrade_request


def test_the_response_to_a_handshake_accepts_its_key() -> None:
    """RFC 6455, 1.3, has the values."""
    response = accept_handshake(upgrade_request())
    lines = response.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert response.endswith(b"\r\n\r\n")


def test_the_first_offered_subprotocol_is_accepted() -> None:
    """A browser closes a WebSocket whose offers are not answered."""
    response = accept_handshake(upgrade_request(Sec_WebSocket_Protocol="v2.chat, v1.chat"))
    assert b"\r\nSec-WebSocket-Protocol: v2.chat\r\n" in response


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "POST"},
        {"Upgrade": "h2c"},
        {"Upgrade": None},
        {"Connection": "keep-alive"},
        {"Sec_WebSocket_Version": "8"},
        {"Sec_WebSocket_Key": None},
        {"Sec_WebSocket_Key": "AAAA"},
        {"Sec_WebSocket_Key": "not base64 at all!!"},
        {"Sec_WebSocket_Protocol": "not a token"},
    ],
    ids=str,
)
def test_a_request_without_a_valid_handshake_is_refused(changes: dict[str, str | None]) -> None:
    """RFC 6455, 4.2.1."""
    with pytest.raises(BadHandshake):
        accept_handshake(upgrade_request(**changes))


def test_another_version_is_named() -> None:
    """The client is told the version that the server speaks: RFC 6455, 4.4."""
    with pytest.raises(UnknownVersion):
        accept_handshake(upgrade_request(Sec_WebSocket_Version="8"))
