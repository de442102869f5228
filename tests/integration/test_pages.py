"""The server's files for browsers: the official client, and our own. See ``test_live_page``."""

from __future__ import annotations

import aiohttp
import pytest

from sio_server.endpoints.pages import FURNITURE_FILES, SOCKETIO_FILES
from tests.support.server import ROOT, Server


@pytest.mark.parametrize("name", SOCKETIO_FILES)
async def test_the_official_client_is_served_unchanged(server: Server, name: str) -> None:
    """The bytes are those of the npm package, at the same paths as on a Node.js server."""
    package = ROOT / "tests/node/node_modules/socket.io-client/dist" / name
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}/socket.io/{name}") as response,
    ):
        assert response.status == 200
        assert await response.read() == package.read_bytes()
        if name.endswith(".js"):
            assert response.content_type in ("text/javascript", "application/javascript")


@pytest.mark.parametrize("name", FURNITURE_FILES)
async def test_our_client_is_served_with_an_etag(server: Server, name: str) -> None:
    """The bytes are those of the build. A browser that has them gets them again only if changed."""
    built = ROOT / "clients/javascript/dist/browser" / name
    url = f"{server.url}/client/{name}"
    async with aiohttp.ClientSession() as http:
        async with http.get(url) as response:
            assert response.status == 200
            assert await response.read() == built.read_bytes()
            assert response.content_type in ("text/javascript", "application/javascript")
            etag = response.headers["ETag"]
        async with http.get(url, headers={"If-None-Match": etag}) as response:
            assert response.status == 304
