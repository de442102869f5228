"""What a visitor may do (``/api/me``), and the figures of a server (``/api/stats``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.support.live_page import event, publish
from tests.support.server import Server
from tests.support.tokens import SECRET, token

Start = Callable[..., Server]

KEY = "0123456789abcdef"


async def get(
    server: Server, path: str, credential: str | None = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON of an answer."""
    if credential is not None:
        headers["Authorization"] = f"Bearer {credential}"
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.url}{path}", headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


PROXIED = {"X-Forwarded-For": "203.0.113.7"}
"""A header by which a visitor is not on this machine."""


async def test_a_visitor_of_this_machine_may_publish_and_see_the_figures(server: Server) -> None:
    """As far as SIO_OPEN_PUBLISH allows it."""
    status, me = await get(server, "/api/me")
    assert status == 200
    assert me.pop("timestamp").endswith("Z")
    assert me == {
        "identity": None,
        "publish": True,
        "subscribe": True,
        "rooms": ["catalog"],
        "stats": True,
    }


async def test_a_visitor_from_elsewhere_may_only_look(server: Server) -> None:
    """A request through a proxy is not of this machine."""
    _, me = await get(server, "/api/me", **PROXIED)
    assert (me["publish"], me["subscribe"], me["stats"]) == (False, True, False)


@pytest.fixture
def closed(start_server: Start) -> Server:
    """Return a server that asks for credentials."""
    return start_server(
        require_auth="true", open_publish="off", producer_keys=f"django:{KEY}", jwt_secret=SECRET
    )


async def test_a_key_may_do_everything(closed: Server) -> None:
    """Wherever it comes from."""
    _, me = await get(closed, "/api/me", KEY, **PROXIED)
    assert (me["identity"], me["publish"], me["stats"]) == ("django", True, True)
    assert (await get(closed, "/api/stats", KEY, **PROXIED))[0] == 200


async def test_a_token_shows_its_subject_and_rooms(closed: Server) -> None:
    """It sees no figures: the names of rooms contain authors."""
    given = token(sub="ana", scope="publish subscribe", rooms=["material:roble", "author:*"])
    _, me = await get(closed, "/api/me", given, **PROXIED)
    assert (me["identity"], me["publish"], me["stats"]) == ("ana", True, False)
    assert me["rooms"] == ["material:roble"]
    status, problem = await get(closed, "/api/stats", given, **PROXIED)
    assert (status, problem["code"]) == (403, "forbidden")


async def test_a_bad_credential_is_refused(closed: Server) -> None:
    """It is never treated as none."""
    for path in ("/api/me", "/api/stats"):
        assert (await get(closed, path, "wrong"))[0] == 401
    status, problem = await get(closed, "/api/stats", **PROXIED)
    assert (status, problem["code"]) == (401, "unauthorized")


async def test_an_unknown_parameter_is_named(server: Server) -> None:
    """As on every path of the API."""
    for path in ("/api/me", "/api/stats"):
        status, problem = await get(server, f"{path}?rooms=x")
        assert (status, problem["code"]) == (400, "invalid_message")


@pytest.mark.parametrize("event_log", ["memory://", "sqlite:///events.db"])
async def test_the_figures_count_events_consumers_and_rooms(
    start_server: Start, event_log: str
) -> None:
    """The largest rooms come first."""
    server = start_server(event_log=event_log)
    _, empty = await get(server, "/api/stats")
    assert empty["log"]["events"] == 0
    assert empty["log"]["oldest_timestamp"] is None
    assert "publish_ms" not in empty
    await publish(server, event("mesa"), event("silla"))
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            f"{server.url}/ws?room=material:roble&since={empty['log']['position']}"
        ) as one,
        http.ws_connect(f"{server.url}/ws?since={empty['log']['position']}") as other,
    ):
        for socket in (one, other):
            while (await socket.receive_json())["type"] != "ready":
                pass
        _, stats = await get(server, "/api/stats")
    assert stats["log"]["kind"] == event_log.partition(":")[0]
    assert stats["log"]["events"] == 2
    assert stats["log"]["oldest_timestamp"] <= stats["timestamp"]
    assert stats["consumers"] == {"socketio": 0, "websocket": 2, "sse": 0, "parked": 0}
    assert stats["rooms"] == {
        "count": 2,
        "largest": [
            {"room": "catalog", "consumers": 1},
            {"room": "material:roble", "consumers": 1},
        ],
    }
    assert stats["publish_ms"]["count"] == 1
    assert 0 <= stats["publish_ms"]["p50"] <= stats["publish_ms"]["p99"]
    assert stats["deliveries"]["seconds"] * stats["deliveries"]["samples"] == 300
