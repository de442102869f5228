"""Who may send requests to the engine: the state of the server, origins, and limits by address."""

from __future__ import annotations

from collections.abc import Mapping

from sio_server.contract.errors import ContractError, HeadTooLarge, RateLimited
from sio_server.endpoints.gate import COMMON_HEADERS, Gate, bearer
from sio_server.endpoints.responses import problem_response
from sio_server.endpoints.socketio_client import SocketIOClient
from sio_server.hub import Hub
from sio_server.net.head import MAX_HEAD_BYTES, MAX_HEADER_FIELDS
from sio_server.net.request import HttpRequest
from sio_server.net.response import HttpResponse


class SocketIODoor:
    """The door of the engine; see ``Door``.

    Args:
        hub: knows whether the server drains.
        gate: checks origins and counts by address.
    """

    def __init__(self, hub: Hub, gate: Gate) -> None:
        self._hub = hub
        self._gate = gate

    def check(self, request: HttpRequest) -> HttpResponse | Mapping[str, str]:
        """Check the state of the server and the origin of a request; see ``Door``."""
        headers = self._gate.response_headers(request)
        try:
            self._hub.check_open()
            self._gate.check_origin(request)
        except ContractError as error:
            return self._refuse(request, error, headers)
        return headers

    def admit(self, request: HttpRequest) -> HttpResponse | SocketIOClient:
        """Count a new consumer; see ``Door``."""
        source = self._gate.source(request)
        try:
            return SocketIOClient(source, bearer(request), *self._gate.enter(source))
        except ContractError as error:
            return self._refuse(request, error)

    def count_connect(self, client: SocketIOClient) -> None:
        """Count a CONNECT packet. The first one was counted when the session was opened.

        Raises:
            RateLimited: there are too many.
        """
        client.connects += 1
        if client.connects > 1:
            client.rate.count()
            self._gate.count_connect(client.source)

    def malformed(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Count a malformed request against its address; see ``Door``."""
        try:
            self._gate.count(self._gate.source(request))
        except RateLimited as error:
            return self._refuse(request, error)
        return response

    def refuse_head(self) -> HttpResponse:
        """Refuse a request whose head is too large; see ``Door``."""
        response = problem_response(
            HeadTooLarge(
                f"a request has at most {MAX_HEAD_BYTES} bytes before its body, "
                f"and {MAX_HEADER_FIELDS} header fields"
            )
        )
        response.headers.update(COMMON_HEADERS)
        return response

    def _refuse(
        self,
        request: HttpRequest,
        error: ContractError,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        opens_session = "sid" not in request.query
        refuse = self._gate.refuse_connection if opens_session else self._gate.refuse
        response = problem_response(refuse(error, self._gate.source(request)))
        response.headers.update(headers or {})
        return response
