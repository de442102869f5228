"""A broker for tests on 127.0.0.1, which answers by the contract, or by a test's script.

It is a real HTTP/1.1 server in threads, so that sockets, keep-alive and broken answers are real.
"""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Action = Callable[["Handler"], None]


@dataclass(frozen=True)
class Seen:
    """A request as it arrived. ``port`` identifies its connection."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Broker:
    """The server, its requests so far, and the scripted actions for the next ones."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: deque[Action] = deque()
        self.log: dict[str, dict[str, Any]] = {}
        self.arrived = threading.Event()
        self.released = threading.Event()
        self.lock = threading.Lock()
        self._recorded = threading.Condition(self.lock)
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Bound", (Handler,), {"broker": self})
        )
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ports(self) -> list[int]:
        """The client's port of each request seen."""
        return [seen.port for seen in self.seen]

    def stop(self) -> None:
        """Stop, and end the requests that still hang."""
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()

    def record(self, seen: Seen) -> None:
        """Add a request to those seen. The caller holds the lock."""
        self.seen.append(seen)
        self.arrived.set()
        self._recorded.notify_all()

    def wait_for_requests(self, count: int) -> list[Seen]:
        """Wait until this many requests have arrived; return all that have.

        A client that gives up early may do so before its request is read here.
        """
        with self._recorded:
            assert self._recorded.wait_for(lambda: len(self.seen) >= count, 30)
            return list(self.seen)

    def append(self, event: dict[str, Any]) -> dict[str, Any]:
        """Append an event, or recognise its id."""
        with self.lock:
            if event["furniture"]["nombre"] == "":
                message = "furniture.nombre: must not be empty"
                return {"ok": False, "error": {"code": "invalid_furniture", "message": message}}
            known = self.log.get(event["id"])
            if known is not None:
                return {**known, "duplicate": True}
            result = {
                "ok": True,
                "id": event["id"],
                "offset": f"e-{len(self.log) + 1}",
                "timestamp": "2024-01-15T14:30:00.000Z",
                "duplicate": False,
            }
            self.log[event["id"]] = result
            return result


class Handler(BaseHTTPRequestHandler):
    """Reads each whole request, then follows the script or the contract."""

    broker: Broker
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    seen: Seen

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def handle_request(self) -> None:
        """Record the request and answer it."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen = Seen(self.command, self.path, headers, body, self.client_address[1])
        with self.broker.lock:
            self.broker.record(self.seen)
            action = self.broker.script.popleft() if self.broker.script else follow_the_contract
        action(self)

    do_GET = do_POST = handle_request  # noqa: N815 - the names that http.server calls

    def answer(
        self, status: int, document: Any, media: str = "application/json", **headers: str
    ) -> None:
        """Answer with a JSON document, or with raw bytes."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def follow_the_contract(handler: Handler) -> None:
    """Answer like the broker."""
    broker, path = handler.broker, handler.path
    if path.endswith("/healthz"):
        handler.answer(200, {"status": "ok"})
    elif path.endswith("/api/events?limit=0"):
        position = f"e-{len(broker.log)}"
        handler.answer(
            200,
            {"events": [], "position": position, "oldest": "e-0", "gap": False, "more": False},
        )
    elif path.endswith("/api/revocations"):
        revocation = handler.seen.json
        before = revocation.get("before", "2024-01-15T14:30:00.000Z")
        handler.answer(201, {"sub": revocation["sub"], "before": before})
    elif path.endswith("/api/events/batch"):
        handler.answer(
            200, {"results": [broker.append(item) for item in handler.seen.json["events"]]}
        )
    else:
        result = broker.append(handler.seen.json)
        if result["ok"]:
            handler.answer(200 if result["duplicate"] else 201, result)
        else:
            handler.answer(422, result["error"], "application/problem+json")


def refuse(status: int, code: str, **headers: str) -> Action:
    """Answer with an error of the contract."""

    def action(handler: Handler) -> None:
        problem = {"type": "about:blank", "title": code, "status": status}
        handler.answer(
            status,
            {**problem, "code": code, "message": "no"},
            "application/problem+json",
            **headers,
        )

    return action


def answer(status: int, document: Any, media: str = "application/json", **headers: str) -> Action:
    """Answer with this document."""
    return lambda handler: handler.answer(status, document, media, **headers)


def raw(data: bytes) -> Action:
    """Write these bytes and close the connection."""

    def action(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return action


def append_then_hang_up(handler: Handler) -> None:
    """Append the events, and lose the answer."""
    document = handler.seen.json
    for event in document.get("events", [document]):
        handler.broker.append(event)
    handler.close_connection = True


def hang(handler: Handler) -> None:
    """Answer nothing until the test is over."""
    handler.broker.released.wait(30)
    handler.close_connection = True
