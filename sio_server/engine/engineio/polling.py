"""HTTP long-polling: packets wait for the client's next GET and come in by POST."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import AbstractContextManager, nullcontext

from sio_server.engine.engineio import packets
from sio_server.engine.engineio.packets import ProtocolError
from sio_server.engine.engineio.session import EngineSession
from sio_server.net.body import BodyTooLarge, BodyUnreadable
from sio_server.net.frames import Frame
from sio_server.net.request import HTML, TEXT, HttpRequest, HttpResponse, bad_request
from sio_server.net.tasks import MESSAGES_PER_TURN

NOOP = Frame(packets.NOOP)

MAX_PACKETS = 16
"""Packets in an answer: with more of them Python's client gives up."""


class Polling:
    """The polling transport of one session.

    Args:
        session: whom it carries.
        max_message_bytes: the bound for one packet of a body.
        max_payload_bytes: the bound for a whole body.
        max_buffer_bytes: what may be queued without a GET; at twice as much the session ends.
        body_timeout: seconds that a body may take.
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
        self._max_buffer_bytes = max_buffer_bytes
        self._body_timeout = body_timeout
        self._queue: list[Frame] = []
        self._queued_bytes = 0
        self._wake: asyncio.Future[None] | None = None  # while a GET waits
        self._poll: HttpRequest | None = None
        self._posting = False
        self._taken: asyncio.Future[None] | None = None  # while somebody drains
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._interrupted = False

    def write(self, frame: Frame) -> bool:
        """Queue a frame for the next GET, or end the one that waits."""
        if self._ended:
            return True
        if self._queued_bytes > 2 * self._max_buffer_bytes:
            self._session.end("transport error")
        else:
            self._queue.append(frame)
            self._queued_bytes += len(frame)
            self._end_poll()
        return self._queued_bytes <= self._max_buffer_bytes

    def write_all(self, frames: Iterable[Frame]) -> bool:
        """Queue frames."""
        within = True
        for frame in frames:
            within = self.write(frame)
        return within

    def one_write(self) -> AbstractContextManager[None]:
        """See ``Transport``: a GET is answered later than all that is written in one go."""
        return nullcontext()

    @property
    def is_polled(self) -> bool:
        """Whether a GET waits for packets."""
        return self._poll is not None and self._poll.is_open()

    def unacknowledged_bytes(self) -> int:
        """Return how many bytes are queued."""
        return self._queued_bytes

    async def drain(self) -> None:
        """Wait until a GET has taken the queue."""
        if self._queue and not self._ended:
            if self._taken is None:
                self._taken = self._loop.create_future()
            await asyncio.shield(self._taken)

    def close(self) -> None:
        """Let a waiting GET end; its answer is what is queued, or a NOOP."""
        self._ended = True
        self._end_poll()
        self._notify_taken()

    def interrupt(self, interrupted: bool) -> None:
        """While a WebSocket takes over, answer every GET at once, with a NOOP if need be."""
        self._interrupted = interrupted
        self._end_poll()

    def take(self, count: int | None = None) -> list[Frame]:
        """Hand over what is queued, or the first ones of it."""
        taken, self._queue = self._queue[:count], self._queue[len(self._queue[:count]) :]
        self._queued_bytes -= sum(map(len, taken))
        if not self._queue:
            self._notify_taken()
        return taken

    def get(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        """Answer a GET with what is queued; wait for the first packet where nothing is."""
        if self.is_polled:
            self._session.break_off(ProtocolError("two polls at once"))
            return bad_request("two polls at once")
        self._end_poll()  # that of a client which hung up
        if self._queue or self._ended or self._interrupted:
            return self._payload()
        self._poll = request
        self._wake = self._loop.create_future()
        return self._wait(request, self._wake)

    async def _wait(self, request: HttpRequest, wake: asyncio.Future[None]) -> HttpResponse:
        try:
            await wake
        finally:
            if self._poll is request:
                self._poll = self._wake = None
        if not request.is_open():  # nobody there to take it: the next GET will
            return HttpResponse(200, b"", TEXT)
        return self._payload()

    def _payload(self) -> HttpResponse:
        frames = self.take(MAX_PACKETS) or [NOOP]
        payload = packets.RECORD_SEPARATOR.join(frame.polling for frame in frames)
        return HttpResponse(200, payload.encode(), TEXT)

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Take a body of packets."""
        if self._posting:
            self._session.break_off(ProtocolError("two posts at once"))
            return bad_request("two posts at once")
        self._posting = True
        try:
            await self._receive(await request.read(self._max_payload_bytes, self._body_timeout))
        except BodyTooLarge:
            self._session.break_off(ProtocolError("payload too large"))
            return HttpResponse(413, b"", TEXT)
        except BodyUnreadable:
            self._session.break_off(ProtocolError("payload that can't be decoded"))
            return bad_request("bad payload")
        except TimeoutError:
            self._session.break_off(ProtocolError("payload too slow"))
            return HttpResponse(408, b"", TEXT)
        except ProtocolError as error:
            self._session.break_off(error)
            return bad_request("bad payload")
        finally:
            self._posting = False
        return HttpResponse(200, b"ok", HTML)

    async def _receive(self, body: bytes) -> None:
        received = []
        for encoded in body.split(packets.RECORD_SEPARATOR.encode()):
            if len(encoded) > self._max_message_bytes:
                raise ProtocolError("packet too large")
            try:
                received.append(packets.decode(encoded.decode()))
            except UnicodeDecodeError:
                raise ProtocolError("payload that is not UTF-8") from None
        for number, (kind, data) in enumerate(received, start=1):
            if self._session.closed:
                return
            wait = self._session.take(kind, data)
            if wait is not None:
                await wait
            if number % MESSAGES_PER_TURN == 0:  # one body must not keep the others waiting
                await asyncio.sleep(0)

    def _end_poll(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _notify_taken(self) -> None:
        if self._taken is not None:
            self._taken.set_result(None)
            self._taken = None
