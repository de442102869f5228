"""The gate: source, origin, identity, headers and limits of a request."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import MultiDict

from sio_server.access.identity import ANONYMOUS
from sio_server.access.keys import ProducerKeys
from sio_server.access.limits import Limits
from sio_server.access.principals import Access, Principal
from sio_server.access.revocations import Revocations
from sio_server.contract.errors import Forbidden, RateLimited, Unauthorized, UnknownRoom
from sio_server.contract.events import Offset
from sio_server.contract.rooms import RoomFilter
from sio_server.endpoints.gate import Gate, offset_in
from sio_server.metrics import Metrics
from sio_server.settings import Settings

KEY = "a-key-of-a-producer"
ANYBODY = Principal(ANONYMOUS, may_publish=False, may_consume=True)


@pytest.fixture
def metrics() -> Metrics:
    """Return counters of the test's own."""
    return Metrics()


@pytest.fixture
def gate(metrics: Metrics) -> Gate:
    """Return a gate with one key, one allowed origin, and small limits."""
    settings = Settings(_env_file=None, cors_origins="https://shop.example", trusted_proxies="")
    limits = Limits(rate_limit=2, max_rooms=2, max_connections=2, max_connections_per_address=1)
    access = Access(ProducerKeys([KEY]), None, "off", False, limits, Revocations(60))
    return Gate(access, settings, limits, metrics)


def request(**headers: str) -> web.Request:
    """Return a request to ``http://here.example``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/", headers={"Host": "here.example"} | named)


def test_the_authorization_header_goes_before_another_token(gate: Gate) -> None:
    """A token in the query counts only without the header."""
    visitor = gate.visitor(request(Authorization=f"Bearer {KEY}"), token="bad")
    assert visitor.principal.identity.kind == "key"
    with pytest.raises(Unauthorized):
        gate.visitor(request(Authorization="Bearer bad"), token=KEY)


def test_a_key_in_a_url_is_refused(gate: Gate) -> None:
    """URLs are in the logs of proxies."""
    with pytest.raises(Unauthorized):
        gate.visitor(request(), token=KEY)


@pytest.mark.parametrize("header", ["Basic YTpi", "", "bearer"])
def test_other_schemes_are_no_credential(gate: Gate, header: str) -> None:
    """An empty bearer credential is one, and is refused."""
    if header == "bearer":
        with pytest.raises(Unauthorized):
            gate.visitor(request(Authorization=header))
    else:
        assert gate.visitor(request(Authorization=header)).principal.identity.kind == "anonymous"


@pytest.mark.parametrize("origin", [None, "http://here.example", "https://shop.example"])
def test_an_allowed_origin_passes_and_may_read(gate: Gate, origin: str | None) -> None:
    """The response names the origin, and ``Vary`` keeps it out of other origins' caches."""
    request_with_origin = request() if origin is None else request(Origin=origin)
    gate.check_origin(request_with_origin)
    headers = gate.response_headers(request_with_origin)
    assert headers["Vary"] == "Origin"
    assert headers.get("Access-Control-Allow-Origin") == origin


def test_another_origin_is_refused_and_may_not_read(gate: Gate) -> None:
    """The error names the setting."""
    request_with_origin = request(Origin="https://evil.example")
    with pytest.raises(Forbidden, match="SIO_CORS_ORIGINS"):
        gate.check_origin(request_with_origin)
    assert "Access-Control-Allow-Origin" not in gate.response_headers(request_with_origin)


def test_a_source_is_found_once(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stored with the request, because the connection may be gone later."""
    request_with_origin = request()
    source = gate.source(request_with_origin)
    monkeypatch.setattr(type(request_with_origin), "transport", None)
    assert gate.source(request_with_origin) is source


def test_the_connections_of_an_address_are_limited(gate: Gate) -> None:
    """A connection that has ended counts no longer."""
    source = gate.source(request())
    rate, leave = gate.enter(source)
    rate.count()
    with pytest.raises(RateLimited):
        gate.enter(source)
    leave()
    assert gate.enter(source).rate is rate  # coming back does not reset the rate


def test_refusals_count_for_the_address(gate: Gate, metrics: Metrics) -> None:
    """Over the limit the answer is ``rate_limited``. A refusal counts under the answer's code."""
    source = gate.source(request())
    codes = [gate.refuse(Unauthorized("no"), source).code for _ in range(3)]
    assert codes == ["unauthorized", "unauthorized", "rate_limited"]
    text = metrics.render().decode()
    assert 'sio_commands_refused_total{code="unauthorized"} 2.0' in text
    assert 'sio_commands_refused_total{code="rate_limited"} 1.0' in text


def test_counted_commands_are_limited(gate: Gate) -> None:
    """Reading the log counts for the address."""
    source = gate.source(request())
    for _ in range(2):
        gate.count(source)
    with pytest.raises(RateLimited):
        gate.count(source)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([], {"catalog"}),
        ([("room", "catalog")], {"catalog"}),
        ([("room", "material:roble"), ("room", "author:Ana")], {"material:roble", "author:Ana"}),
        ([("room", "material:roble")] * 3, {"material:roble"}),
    ],
)
def test_a_query_names_rooms(gate: Gate, query: list[Any], expected: set[str]) -> None:
    """A query without a room means ``catalog``."""
    assert gate.rooms(MultiDict(query), ANYBODY) == expected


def test_bad_rooms_are_refused(gate: Gate) -> None:
    """Unknown rooms and too many rooms have different errors."""
    with pytest.raises(UnknownRoom):
        gate.rooms(MultiDict([("room", "nowhere")]), ANYBODY)
    with pytest.raises(RateLimited):
        query = MultiDict([("room", f"material:{number}") for number in range(3)])
        gate.rooms(query, ANYBODY)
    bounded = Principal(ANONYMOUS, False, True, RoomFilter.parse(["material:roble"]))
    with pytest.raises(Forbidden):
        gate.rooms(MultiDict([("room", "catalog")]), bounded)
    assert gate.rooms(MultiDict(), bounded) == {"material:roble"}


def test_since_is_an_offset_or_absent() -> None:
    """A query without it asks for no replay."""
    assert offset_in(MultiDict(), "since") is None
    assert offset_in(MultiDict(since="epoch-3"), "since") == Offset("epoch", 3)
