"""Bad input gets the contract's error on every transport, and is never appended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.conftest import load_contract, load_vectors
from tests.contract.test_transports import position
from tests.support.history import read_history
from tests.support.raw import Closed, plain, raw_socketio
from tests.support.server import Server

CASES = load_vectors("errors.json")
GOOD = load_vectors("events.json")[0]["publish"]
STATUS = load_contract()["errors"]

Error = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[Error]]
"""Sends a case, and returns the error of the answer."""

CLOSED = "closed"


@asynccontextmanager
async def _http(url: str) -> AsyncIterator[Send]:
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as http:

        async def send(case: dict[str, Any]) -> Error:
            body = case["message"].encode()
            async with http.post(f"{url}/api/events", data=body) as response:
                problem: Error = await response.json(content_type="application/problem+json")
                assert response.status == problem["status"] == STATUS[case["code"]]
                return problem

        yield send


@asynccontextmanager
async def _batch(url: str) -> AsyncIterator[Send]:
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as http:

        async def send(case: dict[str, Any]) -> Error:
            good = json.dumps(GOOD)
            body = f'{{"events": [{good}, {case["message"]}, {good}]}}'.encode()
            async with http.post(f"{url}/api/events/batch", data=body) as response:
                answer: dict[str, Any] = await response.json(content_type=None)
                if case.get("batch") == "whole":
                    assert response.status == 400
                    return answer
                first, bad, last = answer["results"]
                assert (first["ok"], last["ok"]) == (True, True)
                assert bad["ok"] is False
                error: Error = bad["error"]
                return error

        yield send


@asynccontextmanager
async def _websocket(url: str) -> AsyncIterator[Send]:
    async with plain(url) as client:

        async def send(case: dict[str, Any]) -> Error:
            await client.send(case["message"])
            return await client.receive_type("error")

        yield send
        await client.send({"type": "ping"})
        await client.receive_type("pong")


def _socketio_message(transport: str) -> Callable[[str], Any]:
    @asynccontextmanager
    async def open_sender(url: str) -> AsyncIterator[Send]:
        async with raw_socketio(url, transport, {"rooms": []}) as client:

            async def send(case: dict[str, Any]) -> Error:
                answer = await client.call("message", json.dumps(case["message"]))
                assert answer["ok"] is False
                error: Error = answer["error"]
                return error

            yield send
            assert (await client.call("subscribe", "[]"))["ok"] is True

    return open_sender


def _socketio_event(transport: str) -> Callable[[str], Any]:
    @asynccontextmanager
    async def open_sender(url: str) -> AsyncIterator[Send]:
        async with raw_socketio(url, transport, {"rooms": []}) as client:

            async def send(case: dict[str, Any]) -> Error:
                name = case.get("event", "furniture_created")
                try:
                    answer = await client.call(name, case["message"])
                except Closed:
                    return {"code": CLOSED}
                assert answer["ok"] is False
                error: Error = answer["error"]
                return error

            yield send

    return open_sender


SENDERS: dict[str, Callable[[str], Any]] = {
    "http": _http,
    "batch": _batch,
    "websocket": _websocket,
    "socketio message": _socketio_message("websocket"),
    "socketio message, polling": _socketio_message("polling"),
    "socketio event": _socketio_event("websocket"),
    "socketio event, polling": _socketio_event("polling"),
}


def _applies(sender: str, case: dict[str, Any]) -> bool:
    if sender.startswith("socketio event"):
        return case.get("as_event") != "valid"
    return not (sender == "batch" and case.get("batch") == "none")


@pytest.mark.parametrize("sender", SENDERS)
async def test_every_fault_gets_its_code_and_appends_nothing(server: Server, sender: str) -> None:
    """One connection sends the whole table, and only good events reach the log."""
    start = await position(server.url)
    async with SENDERS[sender](server.url) as send:
        for case in CASES:
            if not _applies(sender, case):
                continue
            if sender.startswith("socketio event") and case.get("as_event") == CLOSED:
                async with SENDERS[sender](server.url) as send_last:
                    assert (await send_last(case))["code"] == CLOSED, case["name"]
                continue
            error = await send(case)
            assert error["code"] == case["code"], (case["name"], error)
            assert error["message"], case["name"]
            fields = [fault["field"] for fault in error.get("details", ())]
            assert fields == case.get("fields", []), case["name"]
    appended = await read_history(server.url, start)
    assert all(event["furniture"] == GOOD["furniture"] for event in appended)
    assert bool(appended) is (sender == "batch")


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_without_an_ack_the_error_is_emitted_as_an_event(
    server: Server, transport: str
) -> None:
    """The event ``error`` has the contract's error, and names the event that failed."""
    async with raw_socketio(server.url, transport, {"rooms": []}) as client:
        await client.send('42["furniture_created",{"furniture":{}}]')
        _, error = json.loads((await client.receive('42["error"'))[2:])
    assert error["event"] == "furniture_created"
    assert error["code"] == "invalid_furniture"
    assert len(error["details"]) == 7


@pytest.mark.parametrize(
    ("event", "arguments", "code"),
    [
        ("furniture_created", '{"type":"furniture_deleted","furniture":{}}', "invalid_message"),
        ("furniture_created", "", "invalid_message"),
        ("furniture_created", "{},{}", "invalid_message"),
        ("message", "", "invalid_message"),
        ("message", "5", "invalid_message"),
        ("subscribe", '"nowhere"', "unknown_room"),
        ("subscribe", '["catalog","material:"]', "unknown_room"),
        ("subscribe", "[5]", "unknown_room"),
        ("subscribe", '["type:furniture_painted"]', "unknown_room"),
        ("subscribe", '["Catalog"]', "unknown_room"),
        ("subscribe", "", "invalid_message"),
        ("unsubscribe", '"nowhere"', "unknown_room"),
        ("authenticate", "{}", "invalid_message"),
        ("authenticate", '{"token":5}', "invalid_message"),
        ("chat", '"hello"', "unknown_type"),
        ("toString", "{}", "unknown_type"),
    ],
)
async def test_a_bad_socketio_command_is_answered(
    server: Server, event: str, arguments: str, code: str
) -> None:
    """The ack has the contract's code, and the connection's rooms stay the same."""
    async with raw_socketio(server.url, "websocket") as client:
        packet = f'427["{event}"{"," if arguments else ""}{arguments}]'
        await client.send(packet)
        (answer,) = json.loads((await client.receive("437["))[3:])
        assert (answer["ok"], answer["error"]["code"]) == (False, code)
        rooms = (await client.call("subscribe", "[]"))["rooms"]
        assert rooms == ["catalog"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "subscribe"}, "invalid_message"),
        ({"type": "subscribe", "rooms": ["nowhere"]}, "unknown_room"),
        ({"type": "subscribe", "rooms": ["catalog", 5]}, "unknown_room"),
        ({"type": "unsubscribe", "rooms": "nowhere"}, "unknown_room"),
        ({"type": "authenticate"}, "invalid_message"),
        ({"type": "ping", "ref": []}, "invalid_message"),
        (b"\x00\x01", "invalid_message"),
        (b'{"type": "ping"}', "invalid_message"),
    ],
)
async def test_a_bad_plain_message_is_answered_and_does_not_close(
    server: Server, message: Any, code: str
) -> None:
    """The error frame has the message's ``ref``, and the next message is answered."""
    has_ref = isinstance(message, dict) and "ref" not in message
    async with plain(server.url) as client:
        await client.send({**message, "ref": "r1"} if has_ref else message)
        error = await client.receive_type("error")
        assert error["code"] == code
        assert error.get("ref") == ("r1" if has_ref else None)
        await client.send({"type": "ping", "ref": 0.5})
        assert (await client.receive_type("pong"))["ref"] == 0.5


@pytest.mark.parametrize(
    ("query", "close_code", "code"),
    [
        ("room=nowhere", 4400, "unknown_room"),
        ("since=", 4400, "invalid_offset"),
        ("since=a%20b", 4400, "invalid_offset"),
        ("since=" + "a" * 65, 4400, "invalid_offset"),
    ],
)
async def test_a_bad_query_closes_a_plain_websocket(
    server: Server, query: str, close_code: int, code: str
) -> None:
    """An error frame gives the reason before the close."""
    async with plain(f"{server.url}/ws?{query}") as client:
        assert (await client.receive())["code"] == code
        with pytest.raises(Closed) as closed:
            await client.receive()
    assert closed.value.code == close_code


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        ({"rooms": ["nowhere"]}, "unknown_room"),
        ({"rooms": {}}, "invalid_message"),
        ({"room": "catalog"}, "invalid_message"),
        ({"rooms": [[]]}, "unknown_room"),
        ({"since": "a b"}, "invalid_offset"),
        ({"since": 5}, "invalid_offset"),
        ({"token": 5}, "invalid_message"),
    ],
)
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_bad_handshake_is_refused(
    server: Server, transport: str, auth: dict[str, Any], code: str
) -> None:
    """The data of the CONNECT_ERROR is the contract's error."""
    with pytest.raises(ConnectionRefusedError) as refused:
        async with raw_socketio(server.url, transport, auth):
            pass
    (error,) = refused.value.args
    assert error["message"] == error["data"]["message"]
    assert error["data"]["code"] == code


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/events?since=a%20b", 400, "invalid_offset"),
        ("/api/events?since=", 400, "invalid_offset"),
        ("/api/events?limit=1001", 400, "invalid_message"),
        ("/api/events?limit=-1", 400, "invalid_message"),
        ("/api/events?limit=%D9%A3", 400, "invalid_message"),
        ("/api/events?room=nowhere", 400, "unknown_room"),
        ("/api/stream?room=nowhere", 400, "unknown_room"),
        ("/api/stream?since=%00", 400, "invalid_offset"),
        ("/api/nothing", 404, "not_found"),
        ("/api/events/batch", 405, "method_not_allowed"),
    ],
)
async def test_a_bad_request_gets_a_problem(
    server: Server, path: str, status: int, code: str
) -> None:
    """It is ``application/problem+json`` with the members of the contract's error."""
    async with aiohttp.ClientSession() as http, http.get(server.url + path) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["status"], problem["code"]) == (status, status, code)
    assert {"type", "title", "message"} <= problem.keys()


@pytest.mark.parametrize("body", ["[]", "{}", '{"events": {}}', '{"events": null}', '"x"'])
async def test_a_body_that_is_no_batch_is_refused(server: Server, body: str) -> None:
    """A batch is an object with a list of events."""
    async with (
        aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as http,
        http.post(f"{server.url}/api/events/batch", data=body) as response,
    ):
        assert response.status == 400
        assert (await response.json(content_type=None))["code"] == "invalid_message"


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_not_announced_as_json_is_refused(
    server: Server, content_type: str | None
) -> None:
    """A form of another site can't send ``application/json`` without a preflight request."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as http,
        http.post(
            f"{server.url}/api/events", data=json.dumps(GOOD).encode(), headers=headers
        ) as response,
    ):
        assert response.status == 415
        assert (await response.json(content_type=None))["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("key", "own_id", "status"),
    [
        ("key-1", None, 201),
        ('"key-2"', None, 201),
        ("key-3", "key-3", 201),
        ("key-4", "other", 400),
        ("", None, 400),
        ('""', None, 400),
        ("x" * 129, None, 400),
    ],
)
async def test_the_idempotency_key_header_may_carry_the_id(
    server: Server, key: str, own_id: str | None, status: int
) -> None:
    """It may be quoted. It follows the rules of an id, and may not differ from the event's id."""
    event = GOOD if own_id is None else {**GOOD, "id": own_id}
    async with (
        aiohttp.ClientSession(headers={"Idempotency-Key": key}) as http,
        http.post(f"{server.url}/api/events", json=event) as response,
    ):
        answer = await response.json(content_type=None)
        assert response.status == status, answer
    if status == 201:
        assert answer["id"] == key.strip('"')
    else:
        assert answer["code"] == "invalid_message"


async def test_an_id_with_other_furniture_is_a_conflict(server: Server) -> None:
    """In a batch, only that event is refused. 75 and 75.0 are the same furniture."""
    first = {**GOOD, "id": "conflict"}
    same = {**first, "furniture": {**GOOD["furniture"], "altura": 75.0}}
    other = {**first, "furniture": {**GOOD["furniture"], "altura": 76}}
    async with aiohttp.ClientSession() as http:
        statuses, answers = [], []
        for event in (first, same, other, {**first, "type": "furniture_deleted"}):
            async with http.post(f"{server.url}/api/events", json=event) as response:
                statuses.append(response.status)
                answers.append(await response.json(content_type=None))
        assert statuses == [201, 200, 409, 409]
        assert answers[2]["code"] == "id_conflict"
        async with http.post(
            f"{server.url}/api/events/batch", json={"events": [other, first]}
        ) as response:
            conflict, duplicate = (await response.json())["results"]
    assert conflict["error"]["code"] == "id_conflict"
    assert duplicate["duplicate"] is True
