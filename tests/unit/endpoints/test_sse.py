"""The frames of an event stream."""

from __future__ import annotations

from sio_server.contract.events import Offset, Record
from sio_server.endpoints.sse import EventStream, UnchunkedEventStream

RECORD = Record(Offset("epoch", 7), "furniture_created", ("catalog",), '{"nombre":"Sillón"}')
TEXT = 'id: epoch-7\ndata: {"nombre":"Sillón"}\n\n'


def test_an_event_is_one_chunk() -> None:
    """Its length counts bytes, not characters (RFC 9112, 7.1)."""
    data = TEXT.encode()
    assert EventStream.encode(RECORD) == f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_an_http_1_0_client_gets_no_chunks() -> None:
    """Its stream ends with the connection, so it has no last chunk."""
    assert UnchunkedEventStream.encode(RECORD) == TEXT.encode()
    assert (EventStream.last_chunk, UnchunkedEventStream.last_chunk) == (b"0\r\n\r\n", b"")
