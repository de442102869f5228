"""The server behind a real nginx, which stores answers and serves the site below a prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support import browser
from tests.support.live_page import becomes
from tests.support.nginx import configured
from tests.support.raw import plain, raw_socketio
from tests.support.server import TIMEOUT, Server

PREFIX = "/shop/live"
CONFIGURATION = """
pid {folder}/nginx.pid;
master_process off;  # a worker of its own could not write to the folder, if root runs the tests
events {{}}
http {{
    access_log off;
    proxy_temp_path {folder}/temporary;
    client_body_temp_path {folder}/bodies;
    proxy_cache_path {folder}/stored keys_zone=stored:1m;
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{
            proxy_pass http://127.0.0.1:{server}/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_cache stored;
            proxy_cache_valid any 10m;
            add_header X-Stored $upstream_cache_status always;
        }}
        location /careless/ {{
            proxy_pass http://127.0.0.1:{server}/;
            proxy_cache stored;
            proxy_cache_valid any 10m;
            proxy_ignore_headers Cache-Control;
        }}
    }}
}}
"""

Start = Callable[..., Server]


@pytest.fixture
def url(start_server: Start, tmp_path: Path) -> Iterator[str]:
    """Return the URL below which nginx serves a server."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    text = CONFIGURATION.format(
        folder=folder, port="{port}", server=start_server().port, prefix=PREFIX
    )
    with configured(folder, text) as root:
        yield root + PREFIX


@pytest.mark.parametrize(
    "path",
    ["/socket.io/?EIO=4&transport=polling", "/api/events", "/healthz", "/metrics", "/nowhere"],
)
async def test_a_proxy_that_stores_answers_stores_none_of_them(url: str, path: str) -> None:
    """Two clients behind it would share a session otherwise."""
    async with aiohttp.ClientSession() as http:
        texts = []
        for _ in range(2):
            async with http.get(url + path) as answer:
                assert answer.headers["X-Stored"] == "MISS"
                texts.append(await answer.text())
    if "socket.io" in path:
        assert texts[0] != texts[1]


async def test_without_the_header_it_would_store_them(url: str) -> None:
    """Two clients get one session if the proxy ignores ``no-store``: the check above can fail."""
    handshake = url.replace(PREFIX, "/careless") + "/socket.io/?EIO=4&transport=polling"
    async with aiohttp.ClientSession() as http:
        texts = []
        for _ in range(2):
            async with http.get(handshake) as answer:
                texts.append(await answer.text())
    assert texts[0] == texts[1]


async def test_the_page_works_below_a_prefix(url: str) -> None:
    """In Chromium. Its links and its examples have the prefix."""
    failed = []
    async with browser.page(locale="en") as page:
        page.set_default_timeout(TIMEOUT * 1000)
        page.on("response", lambda it: failed.append(it.url) if it.status >= 400 else None)
        await page.goto(f"{url}/#conectar")
        await becomes(page, "live")
        texts = await page.locator("#view-connect code").all_text_contents()
        client = page.get_by_role("link", name="/socket.io/socket.io.js")
        async with page.expect_response("**/socket.io.js") as response:
            await client.click()
        assert (await response.value).ok
    assert failed == []
    text = "\n".join(texts)
    origin = url.removesuffix(PREFIX)
    assert f'io("{origin}", {{ path: "{PREFIX}/socket.io/" }})' in text
    assert f"wscat -c {url.replace('http', 'ws')}" in text
    assert f"curl -N {url}/api/stream" in text
    assert f"curl {url}/api/events" in text
    assert f'Producer("{url}")' in text


async def test_clients_connect_below_a_prefix(url: str) -> None:
    """As the page says."""
    async with plain(f"{url}/") as client:
        await client.send({"type": "ping"})
        assert (await client.receive())["type"] == "pong"
    for transport in ("polling", "websocket"):
        async with raw_socketio(url, transport) as socketio:
            assert (await socketio.call("ping", "0"))["type"] == "pong"
