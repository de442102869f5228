"""What holds for every HTTP request: origins, draining, errors in one form."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from sio_server.access import origin_allowed
from sio_server.endpoints.ops import PATHS as OPS_PATHS
from sio_server.endpoints.requests import source_of
from sio_server.endpoints.responses import problem
from sio_server.errors import (
    ContractError,
    Forbidden,
    Internal,
    InvalidMessage,
    MethodNotAllowed,
    NotFound,
    ShuttingDown,
)
from sio_server.hub import Hub
from sio_server.limits import Flooding

logger = logging.getLogger("sio_server")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SERVER = "sio_server"
"""All that a stranger learns of what runs here."""

PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}


class Middleware:
    """Stands around all endpoints."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def install(self, app: web.Application) -> None:
        """Put it around the app's endpoints."""

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._handle(request, handler)

        app.middlewares.append(around)
        app.on_response_prepare.append(self._allow_origin)

    async def _handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in OPS_PATHS:
                if self._hub.draining:
                    raise ShuttingDown("the server is stopping")
                self._check_origin(request)
            if request.method == "OPTIONS" and "Origin" in request.headers:
                return web.Response(status=204, headers=PREFLIGHT_HEADERS)
            return await handler(request)
        except ContractError as error:
            return self._refuse(request, error)
        except web.HTTPException as error:
            return self._refuse(request, _translate(error), error.headers.get("Allow"))
        except (ConnectionError, TimeoutError):
            return web.Response(status=408)  # to nobody: the connection is gone
        except Exception:
            logger.exception("request_failed")
            return problem(Internal("the server failed; its log says why"))

    def _refuse(
        self, request: web.Request, error: ContractError, allow: str | None = None
    ) -> web.StreamResponse:
        rate = self._hub.address_rates.of(source_of(request, self._hub).address)
        error = self._hub.refusal(error, rate)
        response = problem(error)
        if allow is not None and isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = allow
        if isinstance(error, Flooding):
            response.force_close()
        return response

    def _check_origin(self, request: web.Request) -> None:
        if not self._is_allowed(request):
            raise Forbidden("this origin may not connect; SIO_CORS_ORIGINS would allow it")

    def _is_allowed(self, request: web.Request) -> bool:
        return origin_allowed(
            request.headers.get("Origin"),
            source_of(request, self._hub).base,
            self._hub.settings.allowed_origins,
        )

    async def _allow_origin(self, request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin")
        response.headers["Server"] = SERVER
        if request.path in OPS_PATHS:
            return
        response.headers["Vary"] = "Origin"
        if origin is not None and self._is_allowed(request):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"


def _translate(error: web.HTTPException) -> ContractError:
    if error.status == 404:
        return NotFound("there is nothing at this path")
    if isinstance(error, web.HTTPMethodNotAllowed):
        return MethodNotAllowed(f"this path takes {', '.join(sorted(error.allowed_methods))}")
    return InvalidMessage(error.reason or "bad request")
