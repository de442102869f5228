"""The examples of the Python client run as they are written, on a server with their keys."""

from __future__ import annotations

import ast
import asyncio
import types
from collections.abc import Callable

import pytest
import socketio
from furniture_events import Producer

from tests.conftest import load_vectors
from tests.support.pages import ROOT, blocks
from tests.support.server import TIMEOUT, Server

FURNITURE = {**load_vectors("events.json")[0]["publish"]["furniture"], "material": "roble"}
SECRET = "a-secret-of-at-least-32-bytes-from-a-file"


@pytest.mark.parametrize("page", ["clients/python/README.md", "docs/how-to/single-page-app.md"])
def test_the_examples_run(page: str, start_server: Callable[..., Server]) -> None:
    """The reader has the furniture. An example that catches errors has nothing to catch."""
    keys = "a-long-producer-key,the-key-of-the-backend"
    server = start_server(producer_keys=keys, jwt_secret=SECRET, open_publish="off")
    for text in blocks("python", ROOT / page):
        for address in ("http://127.0.0.1:8765", "https://events.example"):
            text = text.replace(address, server.url)  # noqa: PLW2901
        names: dict[str, object] = {"furniture": FURNITURE}
        exec(text, names)
        assert "published" in names or "except" not in text
        if isinstance(producer := names.get("producer"), Producer):
            producer.close()


async def test_a_handler_with_one_parameter_needs_no_recovery(server: Server) -> None:
    """The line of ``docs/clients.md`` for python-socketio's client."""
    (text,) = blocks("python", ROOT / "docs/clients.md")
    came: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    client = socketio.AsyncClient()
    client.on("furniture_created", came.put_nowait)
    code = compile(text, "clients.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await types.FunctionType(code, {"client": client, "url": server.url})()
    event = load_vectors("events.json")[0]["publish"]
    await client.call("furniture_created", event)
    async with asyncio.timeout(TIMEOUT):
        assert (await came.get())["furniture"] == event["furniture"]
    await client.disconnect()
