"""The server under test. It runs in this process, and all of its logs and tasks are watched."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine, Mapping, Sized
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from aiohttp.http_exceptions import HttpProcessingError

from sio_server.engine import UNDECODABLE, EngineSession, Server, ack_requested
from tests.support.engine import serving

MAX_MESSAGE, MAX_PAYLOAD, MAX_ATTACHMENTS = 100_000, 200_000, 10
NAMESPACES = ("/", "/admin")
CONNECT_SECONDS = 1
MAX_ECHO_DEPTH = 60
"""Deeper arguments are not echoed, because their encoding is not under test."""

LOGGERS = ("asyncio", "aiohttp", "engineio", "socketio", "sio_server")
SETTLE_SECONDS, EXAMPLE_SECONDS = 5, 30


class Watch(logging.Handler):
    """Collects errors and tracebacks, of the log and of the event loop. No client may cause any."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an error, but not aiohttp's, which logs each unreadable request as an error."""
        record.msg, record.args = (
            record.getMessage(),
            None,
        )  # pytest keeps the record, which must not keep sessions
        error = record.exc_info[1] if record.exc_info else None
        if record.name == "aiohttp.server" and isinstance(error, HttpProcessingError):
            return
        if record.levelno >= logging.ERROR or error is not None:
            self.seen.append(logging.Formatter().format(record))

    def loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep an error of the event loop."""
        self.seen.append(f"event loop: {context!r}")

    def remove(self) -> None:
        """Stop watching."""
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self)


def too_deep(value: Any) -> bool:
    """Return whether containers are nested too deep for the echo. It works without recursion."""
    level, depth = [value], 0
    while level:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, list | tuple):
                inner += item
            elif isinstance(item, dict):
                inner += item.values()
        depth += any(isinstance(item, list | tuple | dict) for item in level)
        if depth > MAX_ECHO_DEPTH:
            return True
        level = inner
    return False


def make_server() -> Server:
    """Return a server that echoes every event, and sends an event of its own for ``ask``."""
    server = Server(
        namespaces=list(NAMESPACES),
        max_message_bytes=MAX_MESSAGE,
        max_payload_bytes=MAX_PAYLOAD,
        max_attachments=MAX_ATTACHMENTS,
        connect_timeout=CONNECT_SECONDS,
    )

    def serve(namespace: str) -> None:
        @server.on("*", namespace=namespace)
        async def echo(event: str, sid: str, *args: Any) -> tuple[Any, ...]:
            answer: tuple[Any, ...] = (event, *args)
            if UNDECODABLE in args:
                answer = (event, {"undecodable": True})
            elif too_deep(answer):
                answer = (event, {"deep": True})
            if event == "ask":
                await server.emit(
                    "asked", to=sid, namespace=namespace, callback=lambda *answers: None
                )
            if not ack_requested():
                await server.emit("echo", answer, to=sid, namespace=namespace)
            return answer

    for namespace in NAMESPACES:
        serve(namespace)
    return server


class Target:
    """The running server, and the checks after each example.

    Attributes:
        counts_tasks: check that tasks end with their clients. aiohttp keeps the tasks of
            unfinished requests for some seconds.
    """

    def __init__(self) -> None:
        self.counts_tasks = True
        self.watch = Watch()
        self._start()

    def _start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self.watch.loop_failed)
        self.server = make_server()
        self._stack = AsyncExitStack()
        url = self.loop.run_until_complete(self._stack.enter_async_context(serving(self.server)))
        self.port = int(urlsplit(url).port or 0)
        self._examples = 0
        self.loop.run_until_complete(self._warm_up())

    async def _warm_up(self) -> None:
        await self.answers_well_behaved()
        await asyncio.sleep(0.05)
        self._idle = self._state()

    def run(self, example: Coroutine[Any, Any, None]) -> None:
        """Run one example. If it fails, replace the server, so that the next one is independent."""
        try:
            self.loop.run_until_complete(self._run(example))
        except BaseException:
            self.stop()
            self.watch.seen.clear()
            self._start()
            raise

    async def _run(self, example: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(EXAMPLE_SECONDS):
            await example
            await self._settle()
        self._examples += 1
        if self._examples % 200 == 0:
            await self.answers_well_behaved()
        self.check_watch()

    async def answers_well_behaved(self) -> None:
        """Check that the server still serves correct clients, over both transports."""
        from tests.fuzz.client import TRANSPORTS

        for transport in TRANSPORTS:
            client = await transport.open(self.port)
            await client.send(['42001["hello",{"to":"you"}]'])
            packets: list[str | bytes] = []
            while not packets:
                packets += await client.receive()
            assert packets == ['31["hello",{"to":"you"}]'], packets
            await client.leave()
        self.check_watch()

    def check_watch(self) -> None:
        """Check that the server and the event loop had no errors."""
        assert not self.watch.seen, "\n".join(self.watch.seen)

    async def _settle(self) -> None:
        """Wait until the server keeps no state of the example's clients."""
        deadline = self.loop.time() + SETTLE_SECONDS
        turns = 0
        while (state := self._state()).items() - self._idle.items():
            turns += 1
            await asyncio.sleep(0 if turns < 50 else 0.002)
            left = dict(state.items() - self._idle.items())
            assert self.loop.time() < deadline, f"state of clients that have left: {left}"

    def _state(self) -> dict[str, int]:
        state = {"tasks": len(asyncio.all_tasks())} if self.counts_tasks else {}
        for owner in (self.server, self.server.manager, self.server.eio):
            _measure(owner, type(owner).__name__, state)
        return state

    def finish(self) -> None:
        """Check that the server still serves, and that no object refers to a session."""
        self.loop.run_until_complete(self.answers_well_behaved())
        self.loop.run_until_complete(asyncio.sleep(0.05))
        gc.collect()
        sessions = [thing for thing in gc.get_objects() if type(thing) is EngineSession]
        left = [session for session in sessions if session._owner is self.server.eio]
        assert not left, f"{len(left)} sessions are still in memory"
        self.check_watch()

    def stop(self) -> None:
        """Stop the server, without waiting for connections of a failed example."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(self._stack.aclose())
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


def _measure(owner: Any, name: str, into: dict[str, int]) -> None:
    """Count the items in all containers of an object of the server."""
    for attribute, value in vars(owner).items():
        where = f"{name}.{attribute}"
        if isinstance(value, Mapping):
            into[where] = _count(value)
        elif isinstance(value, Sized) and not isinstance(value, str | bytes | type):
            if attribute not in (
                "_recently_logged_addresses",
                "_closing_sids",
            ):  # addresses and sids that are kept for a moment
                into[where] = len(value)
        elif _is_ours(value) and where.count(".") < 3:
            _measure(value, where, into)


def _is_ours(value: Any) -> bool:
    module = type(value).__module__
    return (
        module.startswith("sio_server")
        and not isinstance(value, Server | type)
        and (hasattr(value, "__dict__"))
    )


def _count(mapping: Mapping[Any, Any]) -> int:
    return sum(
        1 + (_count(value) if isinstance(value, Mapping) else 0) for value in mapping.values()
    )
