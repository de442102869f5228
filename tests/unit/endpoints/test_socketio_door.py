"""The door of the engine: what it lets in, and the form of its refusals."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from multidict import CIMultiDict

from sio_server.access.keys import ProducerKeys
from sio_server.access.limits import Limits
from sio_server.access.principals import Access
from sio_server.access.revocations import Revocations
from sio_server.contract.errors import ShuttingDown
from sio_server.endpoints.gate import Gate
from sio_server.endpoints.socketio_client import SocketIOClient
from sio_server.endpoints.socketio_door import SocketIODoor
from sio_server.metrics import Metrics
from sio_server.net.request import HttpRequest
from sio_server.net.response import TEXT, HttpResponse
from sio_server.settings import Settings

BAD = HttpResponse(400, b"bad", TEXT)


class FakeHub:
    """A hub that drains, or not."""

    drains = False

    def check_open(self) -> None:
        """Refuse while it drains."""
        if self.drains:
            raise ShuttingDown(1)


@pytest.fixture
def hub() -> FakeHub:
    """Return a hub that does not drain."""
    return FakeHub()


@pytest.fixture
def door(hub: FakeHub) -> SocketIODoor:
    """Return a door with small limits."""
    limits = Limits(
        rate_limit=2,
        max_rooms=2,
        max_connections=5,
        max_connections_per_address=1,
        connect_rate=0,
    )
    access = Access(ProducerKeys(), None, "off", False, limits, Revocations(60))
    gate = Gate(access, Settings(_env_file=None, trusted_proxies=""), limits, Metrics())
    return SocketIODoor(cast("Any", hub), gate)


def request(**headers: str) -> HttpRequest:
    """Return a handshake at ``http://here.example``."""

    async def read(max_bytes: int, seconds: float) -> bytes:
        return b""

    return HttpRequest(
        "GET",
        "/socket.io/?EIO=4&transport=polling",
        CIMultiDict({"Host": "here.example"} | headers),
        ("192.0.2.1", 1000),
        "http",
        lambda connection: None,
        lambda: True,
        read,
    )


def refusal(answer: object) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    assert isinstance(answer, HttpResponse)
    return answer.status, json.loads(answer.body)["code"]


def test_a_good_request_gets_headers(door: SocketIODoor) -> None:
    """They are for its response."""
    headers = door.check(request(Origin="http://here.example"))
    assert not isinstance(headers, HttpResponse)
    assert headers["Access-Control-Allow-Origin"] == "http://here.example"


def test_a_drain_and_a_foreign_origin_are_refused(door: SocketIODoor, hub: FakeHub) -> None:
    """The refusal is a problem of the contract."""
    assert refusal(door.check(request(Origin="http://evil.example"))) == (403, "forbidden")
    hub.drains = True
    assert refusal(door.check(request())) == (503, "shutting_down")


def test_a_consumer_over_the_limit_of_its_address_is_refused(door: SocketIODoor) -> None:
    """Until another one has left."""
    first = door.admit(request())
    assert isinstance(first, SocketIOClient)
    assert refusal(door.admit(request())) == (429, "rate_limited")
    first.leave()
    assert isinstance(door.admit(request()), SocketIOClient)


def test_malformed_requests_count_for_their_address(door: SocketIODoor) -> None:
    """Below the limit, the engine's own response is sent."""
    assert [door.malformed(request(), BAD) for _ in range(2)] == [BAD, BAD]
    assert refusal(door.malformed(request(), BAD)) == (429, "rate_limited")


def test_a_head_that_is_too_large_is_a_problem_of_the_contract(door: SocketIODoor) -> None:
    """Its text names the bounds."""
    assert refusal(door.refuse_head())[0] == 431
    assert b"16384 bytes" in door.refuse_head().body
