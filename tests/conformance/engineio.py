"""The server that the official Engine.IO suite tests: it echoes messages.

``python -m tests.conformance.engineio --port 3000`` serves it.
"""

from __future__ import annotations

from typing import Any

from sio_server.engine.engineio.server import EngineIOServer
from tests.conformance.serve import main

PATH = "engine.io"
SUITE_OPTIONS: dict[str, Any] = {
    "ping_interval": 0.3,
    "ping_timeout": 0.2,
    "max_payload_bytes": 1_000_000,
}
"""The options that the official suites expect, by the engine's names."""


def make_server(**options: Any) -> EngineIOServer:
    """Make a server that echoes every message: text as text, and bytes as bytes.

    Args:
        options: options of ``EngineIOServer`` that differ from ``SUITE_OPTIONS``.
    """
    server = EngineIOServer(**{**SUITE_OPTIONS, **options})

    async def echo(sid: str, data: str | bytes) -> None:
        server.joined(sid)
        await server.send(sid, data)

    server.on("message", echo)
    return server


if __name__ == "__main__":
    main(make_server, PATH)
