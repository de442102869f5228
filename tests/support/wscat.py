"""wscat in a terminal: typed lines, and the text on its screen."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.server import ROOT, TIMEOUT

PROGRAM = ROOT / "tests/node/node_modules/.bin/wscat"


class Wscat:
    """A connected session.

    Args:
        terminal: the descriptor of the other end of the terminal.
        screen: the output of wscat.
    """

    def __init__(self, terminal: int, screen: asyncio.StreamReader) -> None:
        self._terminal = terminal
        self._screen = screen
        self._shown = ""

    def type(self, line: str) -> None:
        """Type or paste a line, and press Enter."""
        os.write(self._terminal, line.encode() + b"\r")

    async def see(self, pattern: str) -> str:
        """Wait until the screen shows the pattern; return its first group, drop earlier text."""
        async with asyncio.timeout(TIMEOUT):
            while not (found := re.search(pattern, self._shown)):
                self._shown += (await self._screen.read(65_536)).decode()
        self._shown = self._shown[found.end() :]
        return found[1]

    async def receive(self) -> dict[str, Any]:
        """Return the next message that wscat shows, decoded."""
        message: dict[str, Any] = json.loads(await self.see(r"< (\{.*\})(?:\x1b\[39m)?\r\n"))
        return message


@asynccontextmanager
async def wscat(*arguments: str) -> AsyncIterator[Wscat]:
    """Start wscat with arguments such as ``-c URL``; it is connected on entry."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM), "--no-color", *arguments, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    screen = asyncio.StreamReader()
    reading, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(screen), os.fdopen(os.dup(ours), "rb", 0)
    )
    session = Wscat(ours, screen)
    try:
        await session.see("(Connected)")
        yield session
    finally:
        os.write(ours, b"\x03")
        await process.wait()
        reading.close()
        os.close(ours)
