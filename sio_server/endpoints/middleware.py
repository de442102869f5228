"""The rules for every HTTP request: allowed origins, no new work in a drain, errors in one form."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from sio_server.contract.errors import (
    ContractError,
    Internal,
    InvalidMessage,
    MethodNotAllowed,
    NotFound,
)
from sio_server.endpoints.gate import COMMON_HEADERS, AnyRequest, Gate, state_of
from sio_server.endpoints.ops import PATHS as OPS_PATHS
from sio_server.endpoints.responses import problem, problem_response, refused_stream
from sio_server.endpoints.sse import PATH as STREAM_PATH
from sio_server.hub import Hub
from sio_server.logs import request_id
from sio_server.net.front_context import Answer
from sio_server.net.handler import FrontHandler
from sio_server.net.request import HttpRequest, list_members
from sio_server.net.response import TEXT, HttpResponse
from sio_server.net.websocket_handshake import asks_for_websocket
from sio_server.randomness import random_bytes

logger = logging.getLogger("sio_server")

_REQUEST_ID = web.RequestKey("request_id", str)

_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def preflight_headers(request: web.Request) -> dict[str, str]:
    """Return the headers of the answer to a preflight: a page may send what it has asked for."""
    headers = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Max-Age": "600"}
    asked = request.headers.get("Access-Control-Request-Headers")
    if asked is not None:
        headers["Access-Control-Allow-Headers"] = asked
    return headers


class HttpHandler(FrontHandler):
    """aiohttp's protocol. Its own errors get the contract's form and do not name aiohttp."""

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write a response, also the one to an error that came before the endpoints."""
        if isinstance(resp, web.HTTPException):
            resp = problem(translate(resp))
            resp.headers.update(COMMON_HEADERS)
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that aiohttp cannot read, or whose handler failed."""
        super().handle_error(request, status, exc, message)  # it writes the log line
        if exc is not None:
            _forget_frames(exc)
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        response = problem(Internal("the server failed") if failed else InvalidMessage("bad HTTP"))
        response.headers.update(COMMON_HEADERS)
        response.force_close()
        return response


class Middleware:
    """Wraps all endpoints.

    Args:
        hub: knows whether the server drains.
        gate: checks origins and counts refusals.
        keepalive_seconds: how long the front keeps an idle connection.
    """

    def __init__(self, hub: Hub, gate: Gate, keepalive_seconds: float) -> None:
        self._hub = hub
        self._gate = gate
        self._keep_alive = f"timeout={keepalive_seconds:.0f}"

    def install(self, app: web.Application) -> None:
        """Wrap the app's endpoints."""

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._handle(request, handler)

        app.middlewares.append(around)
        app.on_response_prepare.append(self._add_headers)

    def wrap(self, answer: Answer) -> Answer:
        """Wrap an endpoint that the front calls without aiohttp."""

        async def wrapped(request: HttpRequest) -> HttpResponse:
            name = _name(request)
            lines = request_id.set(name)
            try:
                response = await self._answer_without_aiohttp(request, answer)
            finally:
                request_id.reset(lines)
            response.headers["X-Request-ID"] = name
            response.headers.update(self._gate.response_headers(request))
            return response

        return wrapped

    async def _answer_without_aiohttp(self, request: HttpRequest, answer: Answer) -> HttpResponse:
        try:
            self._hub.check_open()
            self._gate.check_origin(request)
            return await answer(request)
        except ContractError as error:
            return problem_response(self._gate.refuse(error, self._gate.source(request)))
        except (ConnectionError, TimeoutError):
            return HttpResponse(408, b"", TEXT)  # nobody reads it: the connection is gone
        except Exception:
            logger.exception("request_failed")
            return problem_response(Internal("the server failed; its log says why"))

    async def _handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        lines = request_id.set(_name(request))
        try:
            return await self._answer(request, handler)
        finally:
            request_id.reset(lines)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in OPS_PATHS:
                self._hub.check_open()
                self._gate.check_origin(request)
            if request.method == "OPTIONS" and "Origin" in request.headers:
                return web.Response(status=204, headers=preflight_headers(request))
            return await handler(request)
        except ContractError as error:
            return self._refuse(request, error)
        except web.HTTPException as error:
            _forget_frames(error)
            return self._refuse(request, translate(error), error.headers.get("Allow"))
        except (ConnectionError, TimeoutError) as error:
            _forget_frames(error)
            return web.Response(status=408)  # nobody reads it: the connection is gone
        except Exception:
            logger.exception("request_failed")
            return problem(Internal("the server failed; its log says why"))

    def _refuse(
        self, request: web.Request, error: ContractError, allow: str | None = None
    ) -> web.StreamResponse:
        connects = request.path == STREAM_PATH or asks_for_websocket(request.headers)
        refuse = self._gate.refuse_connection if connects else self._gate.refuse
        error = refuse(error, self._gate.source(request))
        if error.retry_after is not None and _is_event_source(request):
            return refused_stream(error)
        response = problem(error)
        if allow is not None and isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = allow
        return response

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        if response.keep_alive is not False and request.keep_alive:
            response.headers["Keep-Alive"] = self._keep_alive
        response.headers["X-Request-ID"] = _name(request)
        stored = response.headers.get("Cache-Control")  # of a static file
        if request.path in OPS_PATHS:
            response.headers.update(COMMON_HEADERS)
        else:
            response.headers.update(self._gate.response_headers(request))
        if stored is not None:
            response.headers["Cache-Control"] = stored


def _name(request: AnyRequest) -> str:
    """Return the request's id: its ``X-Request-ID``, if that is a word, or a random one."""
    state = state_of(request)
    name: str | None = state.get(_REQUEST_ID)
    if name is None:
        given = request.headers.get("X-Request-ID", "")
        name = state[_REQUEST_ID] = given if _WORD.fullmatch(given) else random_bytes(8).hex()
    return name


def _is_event_source(request: web.Request) -> bool:
    """Tell whether a browser's ``EventSource`` has sent the request."""
    accepted = [it.partition(";")[0] for it in list_members(request.headers, "Accept")]
    return request.path == STREAM_PATH and "text/event-stream" in map(str.lower, accepted)


def _forget_frames(error: BaseException) -> None:
    """Break a cycle: aiohttp keeps the error, and its traceback's frames refer to aiohttp.

    The request and its body would stay in memory until the next collection.
    """
    error.__traceback__ = None


def translate(error: web.HTTPException) -> ContractError:
    """Return the contract's error for an error of aiohttp."""
    if error.status == 417:
        return InvalidMessage("Expect may only be 100-continue")
    if error.status == 404:
        return NotFound("there is nothing at this path")
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(f"this path takes {', '.join(sorted(error.allowed_methods))}")
    return InvalidMessage(error.reason or "bad request")
