"""The endpoints for operators on a port of their own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.support.server import Server, start_expecting_failure

PATHS = ("/metrics", "/healthz", "/readyz")

Start = Callable[..., Server]


async def test_the_port_of_the_server_has_them_by_default(start_server: Start) -> None:
    """A developer needs no second port."""
    server = start_server()
    async with aiohttp.ClientSession(server.url) as http:
        for path in PATHS:
            async with http.get(path) as response:
                assert response.status == 200


async def test_a_port_of_their_own_has_only_them(start_server: Start) -> None:
    """And the port of the server has them no more."""
    server = start_server(ops_port=0)
    port = server.wait_for_log("ops_listening")["port"]
    async with aiohttp.ClientSession() as http:
        for path in PATHS:
            async with http.get(f"http://127.0.0.1:{port}{path}") as response:
                assert response.status == 200
                assert response.headers["Server"] == "sio_server"
            async with http.get(server.url + path) as response:
                assert response.status == 404
                assert (await response.json(content_type=None))["code"] == "not_found"
        for path in ("/", "/api/events", "/socket.io/?EIO=4&transport=polling", "/ws"):
            async with http.get(f"http://127.0.0.1:{port}{path}") as response:
                assert response.status == 404
                assert response.headers["Server"] == "sio_server"
    assert server.stop() == 0


def test_a_port_that_is_taken_stops_the_start(tmp_path: Path) -> None:
    """The message names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = start_expecting_failure(tmp_path, host="127.0.0.1", port=0, ops_port=port)
    assert f"can't listen on 127.0.0.1:{port}" in message


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_another_text_is_no_port(tmp_path: Path, port: str) -> None:
    """The message names the setting."""
    assert "SIO_OPS_PORT" in start_expecting_failure(tmp_path, ops_port=port)
