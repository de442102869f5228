"""Who is connected to which namespace and room: python-socketio's manager, made exact and lean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from socketio import AsyncManager
from socketio import packet as stock

from sio_server.engine import packets
from sio_server.engine.frames import Frame


def encode(packet: stock.Packet) -> list[Frame]:
    """Encode a Socket.IO packet: its text, then its attachments."""
    encoded = packet.encode()
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    return [Frame(packets.MESSAGE + text), *map(Frame, attachments)]


class Manager(AsyncManager):  # type: ignore[misc]
    """Encode an event once, write it to each recipient without a task.

    What is emitted to a client whose connect handler is still at work is held back: it follows the
    CONNECT answer, or goes with the refusal.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, list[Frame]] = {}

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Register a client that waits for its connect handler's word."""
        sid: str | None = await super().pre_connect(eio_sid, namespace)
        if sid is not None:
            self._held[sid] = []
        return sid

    async def connect(self, sid: str, namespace: str) -> str:
        """Register an accepted client, to which CONNECT has gone out."""
        sid = await super().connect(sid, namespace)
        self.write(sid, self.eio_sid_from_sid(sid, namespace), self._held.pop(sid, []))
        return sid

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Forget a client."""
        self._held.pop(sid, None)
        await super().disconnect(sid, namespace, **kwargs)

    def write(self, sid: str, eio_sid: str, frames: list[Frame]) -> None:
        """Write frames to one client, or hold them until it is accepted."""
        held = self._held.get(sid)
        if held is not None:
            held.extend(frames)
            return
        session = self.server.eio.sockets.get(eio_sid)
        if session is not None:
            for frame in frames:
                session.write(frame)

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """Emit an event to a client, a room, several rooms, or all of a namespace."""
        if isinstance(data, tuple):
            arguments = [event, *data]
        else:
            arguments = [event] if data is None else [event, data]
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        frames: list[Frame] = []
        for sid, eio_sid in list(self.get_participants(namespace, to or room)):
            if sid in skipped:
                continue
            if callback is not None or not frames:
                ack_id = self._generate_ack_id(sid, callback) if callback is not None else None
                frames = encode(
                    self.server.packet_class(
                        stock.EVENT, namespace=namespace, data=arguments, id=ack_id
                    )
                )
            self.write(sid, eio_sid, frames)

    async def trigger_callback(self, sid: str, id: int, data: Any) -> None:
        """Run the callback that an acknowledgement answers; an unknown one is ignored."""
        if id != 0 and id in self.callbacks.get(sid, ()):  # the manager keeps its counter at 0
            await super().trigger_callback(sid, id, data)
