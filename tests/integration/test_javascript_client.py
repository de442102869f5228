"""The JavaScript client in Node.js against real servers, and its own unit tests."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.conftest import load_vectors
from tests.support import pages, secrets
from tests.support.nginx import nginx
from tests.support.node import NodeClient, node_catalog
from tests.support.proxy import proxied
from tests.support.server import ROOT, Server, free_ports
from tests.support.tokens import OLD_SECRET, SECRET, token
from tests.support.transports import PRODUCERS
from tests.support.valkey import Valkey
from tests.support.website import serving

FURNITURE: dict[str, Any] = load_vectors("events.json")[0]["publish"]["furniture"]
Start = Callable[..., Server]


def event(id: str, kind: str = "furniture_created", **fields: object) -> dict[str, Any]:
    """Return an event of the piece with this id."""
    return {"type": kind, "furniture": {**FURNITURE, "furniture_id": id, **fields}}


async def publish(server: Server, *events: dict[str, Any]) -> None:
    """Publish events over HTTP."""
    async with PRODUCERS["http"](server.url) as send:
        for each in events:
            await send(each)


async def becomes(client: NodeClient, *states: tuple[str, str | None]) -> None:
    """Wait until the catalogue has had these states, one after the other."""

    def has_had() -> bool:
        seen = iter([(line["name"], line["code"]) for line in client.all("state")])
        return all(state in seen for state in states)

    await client.wait_until(has_had)


async def shows(client: NodeClient, *ids: str) -> None:
    """Wait until the list has exactly these pieces."""
    while True:
        count = len(client.all("items"))
        await client.do("items")
        line = await client.wait_for("items", count + 1)
        if sorted(item["furniture_id"] for item in line["items"]) == sorted(ids):
            return
        await client.wait_until(lambda line=line: client.lines[-1] is not line)


LIVE = ("live", None)


def test_the_unit_tests_of_the_client_pass() -> None:
    """They need no server: ``npm test`` in ``clients/javascript``."""
    done = subprocess.run(
        ["npm", "test", "--prefix", str(ROOT / "clients/javascript")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


async def test_a_list_follows_every_change(start_server: Start) -> None:
    """First the list, then each created, changed and deleted piece."""
    server = start_server()
    await publish(server, event("old"))
    async with node_catalog(server.url) as client:
        await becomes(client, LIVE)
        assert client.all("list")[0]["ids"] == ["old"]
        await publish(server, event("new"), event("new", "furniture_updated", nombre="Otra"))
        await shows(client, "old", "new")
        await publish(server, event("old", "furniture_deleted"))
        await shows(client, "new")
        assert client.all("load") == [{"on": "load"}]


async def test_an_edit_shows_before_it_is_published(server: Server) -> None:
    """A refused edit is taken back, with the server's code."""
    async with node_catalog(server.url) as client:
        await becomes(client, LIVE)
        good, bad = event("edit", nombre="Buena"), event("edit-2", altura=-1)
        await client.do("publish", **good, id="edit-1")
        assert good["furniture"] in (await client.wait_for("shown"))["items"]
        published = await client.wait_for("published")
        assert (published["id"], published["duplicate"]) == ("edit-1", False)
        await client.wait_for("event", id="edit-1")
        await client.do("publish", **bad)
        assert bad["furniture"] in (await client.wait_for("shown", 2))["items"]
        refused = await client.wait_for("refused")
        assert (refused["code"], refused["maybeAppended"]) == ("invalid_furniture", False)
        await client.do("items")
        assert bad["furniture"] not in (await client.wait_for("items"))["items"]


async def test_a_message_that_is_too_large_is_refused_and_the_others_arrive(
    server: Server,
) -> None:
    """The server ends the connection; the client does not send the message again."""
    async with node_catalog(server.url) as client:
        await becomes(client, LIVE)
        await client.do("publish", **event("large", extra="x" * 70_000))
        await client.do("publish", **event("small"))
        assert (await client.wait_for("refused"))["code"] == "too_large"
        await client.wait_for("published")


async def test_a_restart_leaves_no_hole(start_server: Start) -> None:
    """The server is killed. Its list is not loaded again, because its log has all events."""
    (port,) = free_ports(1)
    server = start_server(port=port, event_log="sqlite:///events.db")
    async with node_catalog(server.url) as client:
        await becomes(client, LIVE)
        await publish(server, event("1"))
        await shows(client, "1")
        server.kill()
        await becomes(client, LIVE, ("recovering", "connection_lost"), ("offline", "unreachable"))
        await client.do("publish", **event("while-away"), id="while-away")
        server = start_server(port=port, event_log="sqlite:///events.db")
        await publish(server, event("2"))
        await becomes(client, LIVE, ("offline", "unreachable"), LIVE)
        await client.wait_for("published", id="while-away", duplicate=False)
        await shows(client, "1", "2", "while-away")
        assert len(client.all("load")) == 1
        assert client.all("unhandled") == []


async def test_a_gap_loads_the_list_again(start_server: Start) -> None:
    """The log in memory is lost with its server. The new log is another one."""
    (port,) = free_ports(1)
    server = start_server(port=port)
    async with node_catalog(server.url) as client:
        await becomes(client, LIVE)
        await publish(server, event("lost"))
        await shows(client, "lost")
        server.kill()
        server = start_server(port=port)
        await publish(server, event("new"))
        await becomes(client, LIVE, ("recovering", "gap"), LIVE)
        await shows(client, "new")
        assert len(client.all("load")) == 2


async def test_a_network_that_is_away_is_offline_until_it_is_back(server: Server) -> None:
    """The session is recovered, and the missed events come."""
    async with (
        proxied(server.port) as proxy,
        node_catalog(proxy.url, list_url=server.url) as client,
    ):
        await becomes(client, LIVE)
        proxy.open = False
        proxy.cut()
        await becomes(client, LIVE, ("offline", "unreachable"))
        await publish(server, event("missed"))
        proxy.open = True
        await becomes(client, LIVE, ("offline", "unreachable"), LIVE)
        await client.wait_until(lambda: client.all("event"))
        assert len(client.all("load")) == 1


async def test_the_next_address_takes_over(start_server: Start, valkey: Valkey) -> None:
    """Two servers share a log. One of them ends, and the list continues on the other."""
    first, second = (start_server(event_log=valkey.url) for _ in range(2))
    async with node_catalog("", list_url=second.url, urls=[first.url, second.url]) as client:
        await becomes(client, LIVE)
        await publish(first, event("before"))
        await client.wait_until(lambda: client.all("event"))
        first.kill()
        await publish(second, event("after"))
        await becomes(client, LIVE, ("offline", "unreachable"), LIVE)
        await client.wait_until(lambda: len(client.all("event")) == 2)
        assert len(client.all("load")) == 1


async def test_a_path_of_the_url_is_the_prefix_of_a_proxy(
    start_server: Start, tmp_path: Path
) -> None:
    """The proxy strips it. Socket.IO's client alone would take it for a namespace."""
    server = start_server()
    changes = {
        "location / {": "location /muebles/ {",
        "proxy_pass http://furniture;": "proxy_pass http://furniture/;",
    }
    with nginx(tmp_path, [server, server], changes) as url:
        async with node_catalog(f"{url}/muebles/", list_url=server.url) as client:
            await becomes(client, LIVE)


async def test_a_network_without_websocket_gets_long_polling(
    start_server: Start, tmp_path: Path
) -> None:
    """A proxy that knows no upgrade lets the first attempt fail; the second transport works."""
    server = start_server()
    changes = {"proxy_set_header Upgrade $http_upgrade;": ""}
    with nginx(tmp_path, [server, server], changes) as url:
        async with node_catalog(url, list_url=server.url) as client:
            await becomes(client, LIVE)
            await publish(server, event("1"))
            await shows(client, "1")
            assert server.wait_for_log("connected", transport="socketio")
            server.kill()
            await becomes(client, LIVE, ("offline", "unreachable"))


async def answer_token(client: NodeClient, count: int, seconds: int = 300) -> None:
    """Answer the ``count``-th call of ``getToken`` with a token for so many seconds."""
    await client.wait_for("needs token", count)
    await client.do("token", token=token(exp=int(time.time()) + seconds))


async def test_a_token_is_replaced_before_it_expires(start_server: Start) -> None:
    """The connection stays open, because each token comes before the end of the last one.

    The server would end the connection within five seconds after the end of the first token.
    """
    server = start_server(jwt_secret=SECRET)
    async with node_catalog(server.url, fetches_tokens=True) as client:
        for count in range(1, 5):
            await answer_token(client, count, seconds=5)
        await client.wait_for("needs token", 5)  # after twelve seconds at least
        assert [line["name"] for line in client.all("state")] == ["live"]


async def test_a_token_that_expires_is_replaced_without_a_hole(start_server: Start) -> None:
    """``getToken`` is late once: the connection ends with its token, and recovers with the next."""
    server = start_server(jwt_secret=SECRET)
    async with node_catalog(server.url, fetches_tokens=True) as client:
        await answer_token(client, 1, seconds=3)
        await becomes(client, LIVE, ("recovering", "token_expired"))
        await publish(server, event("missed"))
        await answer_token(client, 3)
        await becomes(client, LIVE, ("recovering", "token_expired"), LIVE)
        await shows(client, "missed")
        assert len(client.all("load")) == 1


async def test_a_revoked_token_is_replaced(start_server: Start) -> None:
    """The user has signed in again, so the next token is good."""
    key = secrets.note("a-producer-key-for-revocations")
    server = start_server(jwt_secret=SECRET, producer_keys=key)
    async with node_catalog(server.url, fetches_tokens=True) as client:
        await answer_token(client, 1)
        await becomes(client, LIVE)
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http,
            http.post(f"{server.url}/api/revocations", json={"sub": "ana"}) as answer,
        ):
            assert answer.status == 201
        await becomes(client, LIVE, ("recovering", "unauthorized"))
        await client.wait_for("needs token", 2)
        await client.do("token", token=token(iat=time.time() + 1))
        await becomes(client, LIVE, ("recovering", "unauthorized"), LIVE)


async def test_a_token_that_stays_bad_is_refused_until_the_page_tries_again(
    start_server: Start,
) -> None:
    """One fresh token is fetched, and no third one."""
    server = start_server(jwt_secret=SECRET)
    async with node_catalog(server.url, fetches_tokens=True) as client:
        for count in (1, 2):
            await client.wait_for("needs token", count)
            await client.do("token", token=token(OLD_SECRET))
        await becomes(client, ("refused", "unauthorized"))
        await client.do("publish", **event("1"))
        assert (await client.wait_for("refused"))["code"] == "unauthorized"
        assert len(client.all("needs token")) == 2
        await client.do("connect")
        await answer_token(client, 3)
        await becomes(client, ("refused", "unauthorized"), LIVE)


@asynccontextmanager
async def website(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Run a server that gives the same answer to each request; return its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with serving(app) as url:
        yield url


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (502, "<h1>Bad Gateway</h1>", ("offline", "unreachable")),
        (
            400,
            '{"code":5,"message":"Unsupported protocol version"}',
            ("refused", "wrong_version"),
        ),
    ],
)
async def test_another_server_has_a_state_and_a_reason(
    server: Server, status: int, body: str, state: tuple[str, str]
) -> None:
    """A proxy whose server is away, and a server of another version."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    async with website(answer) as url, node_catalog(url, list_url=server.url) as client:
        await becomes(client, state)
        assert client.all("unhandled") == []


async def test_a_list_that_fails_is_loaded_again(server: Server) -> None:
    """The state says so meanwhile."""
    works = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if not works.is_set():
            return web.Response(status=503)
        return web.json_response({"events": [], "position": "x-1", "more": False})

    async with website(answer) as url, node_catalog(server.url, list_url=url) as client:
        await becomes(client, ("connecting", "load_failed"))
        works.set()
        await client.wait_for("list")


def test_the_examples_of_the_client_compile() -> None:
    """Each example of its README in TypeScript, with the package as it is built."""
    package = ROOT / "clients/javascript"
    folder = package / "build/examples"
    folder.mkdir(parents=True, exist_ok=True)
    found = pages.blocks("ts", package / "README.md"), pages.blocks("tsx", package / "README.md")
    assert [len(examples) for examples in found] == [4, 1]
    for suffix, examples in zip(("ts", "tsx"), found, strict=True):
        for number, example in enumerate(examples):
            (folder / f"example{number}.{suffix}").write_text(example)
    options = {
        "extends": "../../tsconfig.json",
        "compilerOptions": {
            "jsx": "react-jsx",
            "noEmit": True,
            "noUnusedLocals": False,
            "rootDir": "../..",
        },
        "include": ["."],
    }
    (folder / "tsconfig.json").write_text(json.dumps(options))
    done = subprocess.run(
        [package / "node_modules/.bin/tsc", "-p", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
