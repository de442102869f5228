"""The WSGI environments of the open sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from sio_server.engine.engineio.session import EngineSession


class Environments(MutableMapping[str, dict[str, Any]]):
    """The environments of the open sessions, for python-socketio's ``Server.environ``.

    python-socketio adds and deletes environments itself. Both do nothing here, because each session
    has its own environment.
    """

    def __init__(self, sessions: Mapping[str, EngineSession]) -> None:
        self._sessions = sessions

    def __getitem__(self, eio_sid: str) -> dict[str, Any]:
        return self._sessions[eio_sid].environ

    def __setitem__(self, eio_sid: str, environ: dict[str, Any]) -> None:
        pass

    def __delitem__(self, eio_sid: str) -> None:
        pass

    def __iter__(self) -> Iterator[str]:
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)
