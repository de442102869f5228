"""The clients of each namespace and room: python-socketio's manager, made exact and lean.

The cost of one client does not grow with the number of other clients: to join, to leave and to
write look only at the client's own rooms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from socketio import AsyncManager
from socketio import packet as stock

from sio_server.engine.engineio.packets import MESSAGE
from sio_server.net.frames import Frame


def encode(packet: stock.Packet) -> list[Frame]:
    """Encode a Socket.IO packet as frames: its text, then its attachments."""
    encoded = packet.encode()
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    return [Frame(MESSAGE + text), *map(Frame, attachments)]


class Manager(AsyncManager):  # type: ignore[misc]
    """Encode an event once, and write it to each recipient without a task.

    A client is *waiting* while its connect handler runs. Its events are held until the CONNECT
    response was sent, and dropped if the client is refused. A client is *leaving* while its
    disconnect handler runs.

    Attributes:
        rooms: by namespace, then by room, then by sid: the Engine.IO sid of each member. The room
            ``None`` has all clients of the namespace. A client's own room, which is named like its
            sid, is not stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rooms: dict[str, dict[Any, dict[str, str]]] = {}
        self._sids: dict[str, dict[str, str]] = {}  # by namespace, then by Engine.IO sid
        self._joined_rooms: dict[str, set[Any]] = {}  # by sid; without an entry: none
        self._held_frames: dict[str, list[Frame]] = {}  # by sid of each waiting client
        self._leaving: set[str] = set()  # sids
        self._removed: dict[str, asyncio.Future[None]] = {}  # by sid; see wait_removed

    def get_participants(self, namespace: str, room: Any) -> Iterable[tuple[str, str]]:
        """Return the sid and the Engine.IO sid of each member of a room or of several rooms."""
        rooms = room if isinstance(room, (list, tuple, set, frozenset)) else (room,)
        if len(rooms) == 1:
            return list(self._members(namespace, next(iter(rooms))).items())
        members: dict[str, str] = {}
        for name in rooms:
            members.update(self._members(namespace, name))
        return list(members.items())

    def _members(self, namespace: str, room: Any) -> Mapping[str, str]:
        rooms = self.rooms.get(namespace, {})
        if room not in rooms and room in rooms.get(None, {}):
            return {room: rooms[None][room]}
        return rooms.get(room, {})

    async def pre_connect(self, eio_sid: str, namespace: str, sid: str | None = None) -> str | None:
        """Register a client whose connect handler is about to run.

        Args:
            eio_sid: the client's Engine.IO session.
            namespace: the namespace that it connects to.
            sid: the sid of the session that it recovers; None: it gets a new sid.

        Returns:
            The client's sid, or None if the client is already registered in the namespace.
        """
        if self.sid_from_eio_sid(eio_sid, namespace) is not None:
            return None
        sid = sid or self.server.eio.generate_id()
        self.rooms.setdefault(namespace, {}).setdefault(None, {})[sid] = eio_sid
        self._sids.setdefault(namespace, {})[eio_sid] = sid
        self._held_frames[sid] = []
        return sid

    async def connect(self, sid: str, namespace: str) -> str:
        """Send the held events of a waiting client, after the CONNECT response."""
        frames = self._held_frames.pop(sid, ())
        self.write(sid, self.rooms[namespace][None][sid], frames)
        return sid

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Return whether a client is waiting."""
        return sid in self._held_frames

    def is_connected(self, sid: str | None, namespace: str) -> bool:
        """Return whether a client is connected: neither waiting nor leaving."""
        return (
            sid is not None
            and sid not in self._held_frames
            and sid not in self._leaving
            and self.eio_sid_from_sid(sid, namespace) is not None
        )

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """Return the sid that an Engine.IO session has in a namespace."""
        return self._sids.get(namespace, {}).get(eio_sid)

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Return the Engine.IO sid of a client."""
        return self.rooms.get(namespace, {}).get(None, {}).get(sid)

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """Note that a client is leaving; return its Engine.IO sid."""
        self._leaving.add(sid)
        return self.eio_sid_from_sid(sid, namespace)

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Remove a client."""
        self._held_frames.pop(sid, None)
        self._leaving.discard(sid)
        self.callbacks.pop(sid, None)
        eio_sid = self.eio_sid_from_sid(sid, namespace)
        if eio_sid is None:
            return
        for room in self.get_rooms(sid, namespace):
            self.basic_leave_room(sid, namespace, room)
        del self._sids[namespace][eio_sid]
        del self.rooms[namespace][None][sid]
        if not self.rooms[namespace][None]:
            del self.rooms[namespace], self._sids[namespace]
        removed = self._removed.pop(sid, None)
        if removed is not None:
            removed.set_result(None)

    async def wait_removed(self, sid: str) -> None:
        """Wait until a registered client is removed."""
        removed = self._removed.get(sid)
        if removed is None:
            removed = self._removed[sid] = asyncio.get_running_loop().create_future()
        await asyncio.shield(removed)

    def is_sid_room(self, namespace: str, room: Any) -> bool:
        """Return whether a room is a client's own."""
        return self.eio_sid_from_sid(room, namespace) is not None

    def basic_enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        """Add a client to a room.

        Raises:
            ValueError: the client is not in the namespace, or the room is another client's own.
        """
        if namespace not in self.rooms:
            raise ValueError("sid is not connected to requested namespace")
        eio_sid = self.rooms[namespace][None][sid]
        if room == sid:
            return
        if room is None or self.is_sid_room(namespace, room):
            raise ValueError("cannot enter a sid room")
        self.rooms[namespace].setdefault(room, {})[sid] = eio_sid
        self._joined_rooms.setdefault(sid, set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """Remove a client from a room, if it is in it."""
        joined = self._joined_rooms.get(sid)
        if joined is None or room not in joined:
            return
        joined.discard(room)
        if not joined:
            del self._joined_rooms[sid]
        members = self.rooms[namespace][room]
        del members[sid]
        if not members:
            del self.rooms[namespace][room]

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """Return the rooms of a client, its own included."""
        if self.eio_sid_from_sid(sid, namespace) is None:
            return []
        return [sid, *self._joined_rooms.get(sid, ())]

    def write(self, sid: str, eio_sid: str, frames: Iterable[Frame]) -> None:
        """Write frames to one client; hold them while the client is waiting."""
        held = self._held_frames.get(sid)
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
        for sid, eio_sid in self.get_participants(namespace, to or room):
            if sid in skipped:
                continue
            if callback is not None or not frames:
                ack_id = self._generate_ack_id(sid, callback) if callback is not None else None
                frames = self._encode_event(namespace, arguments, ack_id)
            self.write(sid, eio_sid, frames)

    def write_event(self, sid: str, namespace: str, arguments: Iterable[Any]) -> None:
        """Write one event to a client, before its held events."""
        session = self.server.eio.sockets.get(self.eio_sid_from_sid(sid, namespace))
        if session is not None:
            for frame in self._encode_event(namespace, list(arguments)):
                session.write(frame)

    def _encode_event(
        self, namespace: str, arguments: list[Any], ack_id: int | None = None
    ) -> list[Frame]:
        return encode(
            self.server.packet_class(stock.EVENT, namespace=namespace, data=arguments, id=ack_id)
        )

    def expects(self, sid: str, id: int) -> bool:
        """Return whether an acknowledgement with this id is expected from a client."""
        return id != 0 and id in self.callbacks.get(sid, ())  # the base class counts at 0

    async def trigger_callback(self, sid: str, id: int, data: Any) -> None:
        """Run the callback of an acknowledgement; ignore an unknown id."""
        if self.expects(sid, id):
            await super().trigger_callback(sid, id, data)
