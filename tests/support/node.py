"""A real socket.io-client in Node.js that a test tells what to do (``tests/node/recover.mjs``)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.support.server import ROOT, TIMEOUT

Line = dict[str, Any]


class NodeClient:
    """The client's process.

    Attributes:
        lines: all that it has told.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._told = asyncio.Condition()
        self.lines: list[Line] = []
        self.reader = asyncio.create_task(self._read())

    @property
    def events(self) -> list[str]:
        """The offsets of the events that it has got."""
        return [line["offset"] for line in self.lines if line["on"] == "event"]

    async def wait_for(self, on: str, count: int = 1, **fields: object) -> Line:
        """Return the line of a kind, with these fields, that is the so many-th."""
        return (await self.wait_until(lambda: self.all(on, **fields)[count - 1 :]))[0]

    async def wait_until(self, condition: Callable[[], Any]) -> Any:
        """Return the condition's first true value."""
        async with asyncio.timeout(TIMEOUT), self._told:
            return await self._told.wait_for(condition)

    def all(self, on: str, **fields: object) -> list[Line]:
        """Return all lines of a kind with these fields."""
        return [it for it in self.lines if it["on"] == on and fields.items() <= it.items()]

    async def do(self, what: str, **arguments: object) -> None:
        """Have it do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
        await self._process.stdin.drain()

    async def call(self, event: str, argument: object) -> Line:
        """Emit an event; return the acknowledgement."""
        count = len(self.all("ack")) + 1
        await self.do("emit", event=event, argument=argument)
        return await self.wait_for("ack", count)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._told:
                self.lines.append(json.loads(line))
                self._told.notify_all()


@asynccontextmanager
async def node_client(url: str, **options: object) -> AsyncIterator[NodeClient]:
    """Run a client with socket.io-client's options."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(ROOT / "tests/node/recover.mjs"),
        json.dumps({"url": url, "options": options}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
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
