"""The contract for programs: valid documents, which say the same as the server does."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import aiohttp
import jsonschema
import pytest
from openapi_spec_validator import validate

from sio_server.app import make_app
from sio_server.contract.asyncapi import asyncapi
from sio_server.contract.commands import EVENT_NAMES, MESSAGE_TYPES
from sio_server.contract.openapi import openapi
from sio_server.contract.schemas import schemas
from sio_server.eventlog.contract import Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.settings import Settings
from tests.conftest import load_contract, load_vectors
from tests.support import browser
from tests.support.raw import raw_socketio
from tests.support.server import ROOT, TIMEOUT, Server
from tests.support.transports import plain

GOOD: dict[str, Any] = load_vectors("events.json")[0]["publish"]
HTTP, CONNECTIONS = openapi("1.0.0"), asyncapi("1.0.0")
FOR_PEOPLE = {"/", "/ws", "/ws/", "/api/docs"}


def check(value: Any, schema: dict[str, Any], document: dict[str, Any] = HTTP) -> None:
    """Check a value.

    Raises:
        jsonschema.ValidationError: it is not valid.
    """
    whole = {"components": document["components"], **schema}
    jsonschema.validate(
        value, whole, cls=jsonschema.Draft7Validator if document is CONNECTIONS else None
    )


def named(name: str) -> dict[str, Any]:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def is_valid(value: Any, name: str) -> bool:
    """Tell whether a value is valid by a schema."""
    try:
        check(value, {"allOf": [named(name)]})
    except jsonschema.ValidationError:
        return False
    return True


def test_the_document_of_http_is_openapi() -> None:
    """The validator is that of the OpenAPI community for Python."""
    validate(HTTP)


def test_the_document_of_the_connections_is_asyncapi() -> None:
    """The parser is AsyncAPI's own. It checks the examples, too."""
    found = subprocess.run(
        ["node", str(ROOT / "tests/node/asyncapi.mjs")],
        input=json.dumps(CONNECTIONS),
        capture_output=True,
        text=True,
        timeout=TIMEOUT * 3,
        check=True,
    )
    assert found.stdout == ""


async def test_every_endpoint_is_described() -> None:
    """Pages, files and the paths of connections are not."""
    app, _, _ = make_app(Settings(_env_file=None), MemoryLog(Retention()))
    served = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    served = {
        (path, method)
        for path, method in served
        if path not in FOR_PEOPLE and not path.endswith((".js", ".css", ".map"))
    }
    described = {(path, method) for path, methods in HTTP["paths"].items() for method in methods}
    assert {it for it in served if not it[0].startswith("/socket.io")} == described


@pytest.mark.parametrize(
    "name", [name for name, schema in schemas().items() if "examples" in schema]
)
def test_each_example_is_valid(name: str) -> None:
    """By its own schema."""
    for example in schemas()[name]["examples"]:
        assert is_valid(example, name)


def test_the_examples_of_messages_are_valid() -> None:
    """AsyncAPI's parser takes any example of a message whose payload is an array."""
    for message in CONNECTIONS["components"]["messages"].values():
        for example in message["examples"]:
            check(example["payload"], {"allOf": [message["payload"]]}, CONNECTIONS)


@pytest.mark.parametrize("vector", load_vectors("events.json"), ids=lambda it: it["name"])
def test_what_the_server_takes_is_valid(vector: dict[str, Any]) -> None:
    """The event, and the rooms that it goes to."""
    assert is_valid(vector["publish"], "PublishedEvent")
    assert is_valid(vector["rooms"], "Rooms")


@pytest.mark.parametrize(
    "vector",
    [
        it
        for it in load_vectors("errors.json")
        if it["code"] in ("invalid_furniture", "unknown_type")
    ],
    ids=lambda it: it["name"],
)
def test_what_the_server_refuses_is_invalid(vector: dict[str, Any]) -> None:
    """A program that validates first is never surprised."""
    assert not is_valid(json.loads(vector["message"]), "PublishedEvent")


def test_all_errors_commands_and_events_are_described() -> None:
    """No name is missing, and none is there that the contract does not have."""
    assert schemas()["Error"]["properties"]["code"]["enum"] == list(load_contract()["errors"])
    messages = CONNECTIONS["components"]["messages"]
    by_client = {name.partition("-client-")[2] for name in messages if "socketio-client-" in name}
    assert by_client == set(EVENT_NAMES)
    kinds = {
        message["payload"].get("properties", {}).get("type", {}).get("const")
        for name, message in messages.items()
        if "websocket-client-" in name
    }
    assert kinds - {None} == set(MESSAGE_TYPES) - set(load_contract()["event_types"])


async def test_answers_are_as_described(server: Server) -> None:
    """Of every endpoint, with every status that a producer without a credential can get."""
    requests: list[tuple[str, str, Any, int]] = [
        ("post", "/api/events", {**GOOD, "id": "described"}, 201),
        ("post", "/api/events", {**GOOD, "id": "described"}, 200),
        ("post", "/api/events", {**GOOD, "id": "described", "type": "furniture_updated"}, 409),
        ("post", "/api/events", {"type": "furniture_created"}, 422),
        ("post", "/api/events", [], 400),
        ("post", "/api/events/batch", {"events": [GOOD, {"type": "x"}]}, 200),
        ("post", "/api/revocations", {"sub": "ana"}, 401),
        ("get", "/api/events", None, 200),
        ("get", "/api/furniture", None, 200),
        ("get", "/api/stream?since=+", None, 400),
        ("get", "/api/me", None, 200),
        ("get", "/api/stats", None, 200),
        ("get", "/healthz", None, 200),
        ("get", "/readyz", None, 200),
        ("get", "/api/openapi.json", None, 200),
        ("get", "/api/asyncapi.json", None, 200),
    ]
    async with aiohttp.ClientSession() as http:
        for method, path, body, status in requests:
            async with http.request(method, server.url + path, json=body) as response:
                assert response.status == status, path
                answer = await response.json(content_type=None)
                assert response.headers["Cache-Control"] == "no-store"
                kind = response.content_type
            described = HTTP["paths"][path.partition("?")[0]][method]["responses"][str(status)]
            check(answer, described["content"][kind]["schema"])
    assert answer["asyncapi"] == CONNECTIONS["asyncapi"]


async def test_messages_are_as_described(server: Server) -> None:
    """Of the plain WebSocket and of Socket.IO."""
    messages = CONNECTIONS["components"]["messages"]

    def check_message(name: str, payload: Any) -> None:
        check(payload, {"allOf": [messages[name]["payload"]]}, CONNECTIONS)

    async with plain(f"{server.url}/ws?since=0") as client:
        check_message("websocket-server-ready", await client.receive())
        for message, answer in (
            ({"type": "ping", "ref": 1}, "pong"),
            ({"type": "subscribe", "rooms": "catalog", "ref": "a"}, "ack"),
            ({"type": "nonsense"}, "error"),
        ):
            await client.send(message)
            check_message(f"websocket-server-{answer}", await client.receive())
        async with raw_socketio(server.url, "websocket") as other:
            await client.send(GOOD)
            check_message("websocket-server-event", await client.receive())
            name, *arguments = json.loads((await other.receive("42"))[2:])
            check_message(f"socketio-server-{name}", arguments)


async def test_the_page_for_people_shows_everything(server: Server) -> None:
    """Each endpoint and each message. The browser reports no error, such as a blocked file."""
    async with browser.page() as page:
        faults: list[str] = []
        page.on("console", lambda it: faults.append(it.text) if it.type == "error" else None)
        await page.goto(f"{server.url}/api/docs")
        shown = await page.locator("summary > code:first-child").all_inner_texts()
        await page.get_by_text("GET /api/events", exact=True).click()
        await page.get_by_text("The oldest", exact=False).first.wait_for(state="attached")
    assert faults == []
    paths = [f"{method.upper()} {path}" for path, its in HTTP["paths"].items() for method in its]
    names = [message["name"] for message in CONNECTIONS["components"]["messages"].values()]
    assert sorted(shown) == sorted([*paths, *names])
