"""The HTTP long-polling transport: a GET takes queued packets, a POST brings packets.

Source of the rules: Engine.IO protocol, "HTTP long-polling".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import AbstractContextManager, nullcontext

from sio_server.engine.engineio import packets
from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.session import EngineSession
from sio_server.net.body import BodyTooLarge, BodyUnreadable
from sio_server.net.connection import SPARE_BYTES
from sio_server.net.frames import Frame
from sio_server.net.request import HttpRequest
from sio_server.net.response import HTML, TEXT, HttpResponse, bad_request
from sio_server.net.turns import Turn, next_turn, turn_for

NOOP = Frame(packets.NOOP)

MAX_PACKETS_PER_RESPONSE = 16
"""The most packets in one response to a GET. python-engineio's client refuses more of them."""

MAX_RESPONSE_BYTES = 65_536
"""A response to a GET has no further packet beyond this size. It may be unread for a while."""

QUEUED_FRAME_BYTES = 128
"""What a queued frame holds besides its bytes."""


class Polling:
    """The polling transport of one session.

    Args:
        session: the session that it carries.
        max_message_bytes: the bound for one packet of a body.
        max_payload_bytes: the bound for a whole body.
        max_buffer_bytes: the bound for queued bytes and an unread response together. If they exceed
            it by more than one packet, the session ends.
        body_timeout: seconds that a body may take to arrive.
    """

    name = "polling"

    def __init__(
        self,
        session: EngineSession,
        max_message_bytes: int,
        max_payload_bytes: int,
        max_buffer_bytes: int,
        body_timeout: float,
    ) -> None:
        self._session = session
        self._max_message_bytes = max_message_bytes
        self._max_payload_bytes = max_payload_bytes
        self._max_queued_bytes = max(max_buffer_bytes - MAX_RESPONSE_BYTES, max_buffer_bytes // 4)
        self._end_bytes = self._max_queued_bytes + max_message_bytes + SPARE_BYTES
        self._body_timeout = body_timeout
        self._queue: list[Frame] = []
        self._queued_bytes = 0
        self._poll: HttpRequest | None = None  # the GET that waits for packets
        self._poll_ended: asyncio.Future[None] | None = None  # set while a GET waits
        self._post_in_progress = False
        self._turn = Turn()  # of the received packets
        self._queue_emptied: asyncio.Future[None] | None = None  # set while drain() waits
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._upgrading = False

    def write(self, frame: Frame) -> bool:
        """Queue a frame for the next GET; answer a GET that waits."""
        if self._closed:
            return True
        if self._queued_bytes > self._end_bytes:
            self._session.end("transport error")
        else:
            self._queue.append(frame)
            self._queued_bytes += len(frame) + QUEUED_FRAME_BYTES
            self._end_poll()
        return self._queued_bytes <= self._max_queued_bytes

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Queue frames; see ``write``."""
        within_bound = True
        for frame in frames:
            within_bound = self.write(frame)
        return within_bound

    def one_write(self) -> AbstractContextManager[None]:
        """Do nothing: a waiting GET is answered later in the loop, with all frames queued by then.

        See ``Transport``.
        """
        return nullcontext()

    @property
    def is_polled(self) -> bool:
        """Whether a GET waits for packets."""
        return self._poll is not None and self._poll.is_open()

    def unacknowledged_bytes(self) -> int:
        """Return the number of queued bytes."""
        return self._queued_bytes

    async def drain(self) -> None:
        """Wait until the queue is empty, or the transport is closed."""
        if self._queue and not self._closed:
            if self._queue_emptied is None:
                self._queue_emptied = self._loop.create_future()
            await asyncio.shield(self._queue_emptied)

    def close(self) -> None:
        """Answer a waiting GET with the queued packets, or with a NOOP; drop all others."""
        self._closed = True
        if self._poll is None:
            self.take_queued()
        self._end_poll()
        self._notify_queue_emptied()

    def set_upgrading(self, upgrading: bool) -> None:
        """Note whether a WebSocket is taking over; if so, every GET is answered at once.

        Source: Engine.IO protocol, "Upgrade", which asks for a NOOP to a pending GET.
        """
        self._upgrading = upgrading
        self._end_poll()

    def take_queued(self) -> list[Frame]:
        """Remove all queued frames and return them."""
        taken, self._queue = self._queue, []
        self._queued_bytes = 0
        self._notify_queue_emptied()
        return taken

    def get(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Answer a GET with the queued packets; wait for a packet if there is none."""
        if self.is_polled:
            self._session.close_with_error(ProtocolError("two polls at once"))
            return bad_request("two polls at once")
        self._end_poll()  # of a client that has disconnected
        if self._queue or self._closed or self._upgrading:
            return self._payload()
        self._poll = request
        self._poll_ended = self._loop.create_future()
        return self._get_later(request, self._poll_ended)

    async def _get_later(
        self, request: HttpRequest, poll_ended: asyncio.Future[None]
    ) -> HttpResponse:
        try:
            await poll_ended
        finally:
            if self._poll is request:
                self._poll = self._poll_ended = None
        # If the client has disconnected, the packets stay queued for the next GET.
        response = self._payload() if request.is_open() else HttpResponse(200, b"", TEXT)
        if self._closed:
            self.take_queued()
        return response

    def _payload(self) -> HttpResponse:
        payload: list[bytes] = []
        size = 0
        for frame in self._queue[:MAX_PACKETS_PER_RESPONSE]:
            if payload and size + len(frame) > MAX_RESPONSE_BYTES:
                break
            size += len(frame)
            payload.append(frame.polling)
        del self._queue[: len(payload)]
        self._queued_bytes -= size + QUEUED_FRAME_BYTES * len(payload)
        if not self._queue:
            self._notify_queue_emptied()
        return HttpResponse(200, packets.SEPARATOR.join(payload or [NOOP.polling]), TEXT)

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Handle the packets in the body of a POST."""
        if self._post_in_progress:
            self._session.close_with_error(ProtocolError("two posts at once"))
            return bad_request("two posts at once")
        self._post_in_progress = True
        try:
            body = await request.read(self._max_payload_bytes, self._body_timeout)
            await self._handle_payload(body, request.network)
        except BodyTooLarge:
            self._session.close_with_error(ProtocolError("payload too large"))
            return HttpResponse(413, b"", TEXT)
        except BodyUnreadable:
            self._session.close_with_error(ProtocolError("payload can't be decoded"))
            return bad_request("bad payload")
        except TimeoutError:
            self._session.close_with_error(ProtocolError("payload too slow"))
            return HttpResponse(408, b"", TEXT)
        except ProtocolError as error:
            self._session.close_with_error(error)
            return bad_request("bad payload")
        finally:
            self._post_in_progress = False
        return HttpResponse(200, b"ok", HTML)

    async def _handle_payload(self, body: bytes, network: str | None) -> None:
        """Handle the packets one by one. The other connections have their turns between them."""
        first_turn = turn_for(len(body), network)
        if first_turn is not None:
            await first_turn
        turn = self._turn
        turn.begin()
        start, length = 0, len(body)
        while start <= length and not self._session.closed:
            end = body.find(packets.SEPARATOR, start)
            end = length if end < 0 else end
            if end - start > self._max_message_bytes:
                raise ProtocolError("packet too large")
            try:
                packet_type, data = packets.decode(body[start:end].decode())
            except UnicodeDecodeError:
                raise ProtocolError("payload is not UTF-8") from None
            if packet_type == packets.MESSAGE and self._queued_bytes > self._max_queued_bytes:
                await self.drain()  # the client does not read the answers
            wait = self._session.packet_received(packet_type, data)
            if wait is not None:
                await wait
            if turn.is_over(end - start):
                await next_turn(network)
                turn.begin()
            start = end + 1

    def _end_poll(self) -> None:
        if self._poll_ended is not None and not self._poll_ended.done():
            self._poll_ended.set_result(None)

    def _notify_queue_emptied(self) -> None:
        if self._queue_emptied is not None:
            self._queue_emptied.set_result(None)
            self._queue_emptied = None
