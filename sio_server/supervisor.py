"""Tell the supervisor that started this process, such as systemd, how the server is.

The protocol is that of sd_notify(3): a supervisor that wants to know names a datagram socket in
``NOTIFY_SOCKET``, and each message is a line ``NAME=value``. Without that variable nothing is sent.
Nothing here can stop or delay the server: a message that cannot be sent is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

logger = logging.getLogger(__name__)

MESSAGES_PER_WATCHDOG = 2
"""How many signs of life are sent within the time after which the supervisor kills the process, as
sd_watchdog_enabled(3) recommends."""


class Supervisor:
    """The supervisor of this process, if it wants messages.

    Args:
        environment: the environment variables: ``NOTIFY_SOCKET``, and for the watchdog
            ``WATCHDOG_USEC`` and ``WATCHDOG_PID``.

    Attributes:
        listens: whether a supervisor wants messages.
        watchdog_seconds: how long the server may be silent; None: as long as it likes.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.listens = bool(path)
        self.watchdog_seconds: float | None = None
        microseconds = environment.get("WATCHDOG_USEC", "")
        own = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if self.listens and own and microseconds.isdecimal() and int(microseconds) > 0:
            self.watchdog_seconds = int(microseconds) / 1_000_000

    def ready(self, status: str) -> None:
        """Say that the server serves its clients. ``systemctl status`` shows the status."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        """Say that the server drains and will end."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    async def show_life(self) -> None:
        """Send signs of life until cancelled. They stop if the event loop hangs."""
        while self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / MESSAGES_PER_WATCHDOG)

    def _send(self, message: str) -> None:
        if not self.listens:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto(message.encode(), self._address)
        except OSError as error:
            first = message.partition("\n")[0]
            logger.warning("supervisor_not_reached message=%s error=%s", first, error.strerror)
