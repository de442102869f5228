"""Programs in Node.js that follow commands.

``tests/node/recover.mjs`` is an unmodified socket.io-client; ``tests/node/catalog.mjs`` is a
catalogue of our JavaScript client; ``tests/node/rival.mjs`` is the ``socket.io`` server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tests.support.server import ROOT, TIMEOUT

Line = dict[str, Any]

MAX_LINE_BYTES = 1 << 20


class NodeClient:
    """The program's process.

    Attributes:
        lines: all lines that it has printed.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._line_read = asyncio.Condition()
        self.lines: list[Line] = []
        self.reader = asyncio.create_task(self._read())

    @property
    def events(self) -> list[str]:
        """The offsets of the events that it has received."""
        return [line["offset"] for line in self.lines if line["on"] == "event"]

    async def wait_for(self, on: str, count: int = 1, **fields: object) -> Line:
        """Wait for the ``count``-th line of this kind with these fields, and return it."""
        return (await self.wait_until(lambda: self.all(on, **fields)[count - 1 :]))[0]

    async def wait_until(self, condition: Callable[[], Any]) -> Any:
        """Wait until the condition is true; return its value."""
        async with asyncio.timeout(TIMEOUT), self._line_read:
            return await self._line_read.wait_for(condition)

    def all(self, on: str, **fields: object) -> list[Line]:
        """Return all lines of this kind with these fields."""
        return [it for it in self.lines if it["on"] == on and fields.items() <= it.items()]

    async def do(self, command: str, **arguments: object) -> None:
        """Send it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
        await self._process.stdin.drain()

    def send_signal(self, number: int) -> None:
        """Send the process a signal."""
        self._process.send_signal(number)

    async def call(self, event: str, argument: object) -> Line:
        """Let it emit an event; return the acknowledgement."""
        count = len(self.all("ack")) + 1
        await self.do("emit", event=event, argument=argument)
        return await self.wait_for("ack", count)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._line_read:
                self.lines.append(json.loads(line))
                self._line_read.notify_all()


def node_client(url: str, **options: object) -> AbstractAsyncContextManager[NodeClient]:
    """Run a client with these options of socket.io-client."""
    return _run("recover.mjs", {"url": url, "options": options})


def node_catalog(
    url: str, *, list_url: str | None = None, fetches_tokens: bool = False, **options: object
) -> AbstractAsyncContextManager[NodeClient]:
    """Run a catalogue with these options of ``connectCatalog``.

    Args:
        url: the server's URL.
        list_url: the URL of the server whose history is the list; by default the same.
        fetches_tokens: whether it asks for tokens; see ``tests/node/catalog.mjs``.
        options: for ``connectCatalog``.
    """
    arguments = {
        "url": url,
        "listUrl": list_url or url,
        "fetchesTokens": fetches_tokens,
        "options": options,
    }
    return _run("catalog.mjs", arguments)


def node_server(**options: object) -> AbstractAsyncContextManager[NodeClient]:
    """Run a ``socket.io`` server with recovery; ``tests/node/rival.mjs`` lists its options."""
    return _run("rival.mjs", options)


@asynccontextmanager
async def _run(script: str, arguments: dict[str, object]) -> AsyncIterator[NodeClient]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(ROOT / "tests/node" / script),
        json.dumps(arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
    )
    client = NodeClient(process)
    try:
        yield client
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()
        await client.reader
