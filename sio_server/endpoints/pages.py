"""What a browser loads: the first page, and the official Socket.IO client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from sio_server.contract.errors import NotFound

STATIC = Path(__file__).parent.parent / "static"
CLIENT = STATIC / "socket.io"
"""Where ``make`` puts the files of the npm package ``socket.io-client``."""

CLIENT_FILES = tuple(
    name + suffix
    for name in ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js")
    for suffix in ("", ".map")
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Pages:
    """The first page and what it loads."""

    def add_routes(self, app: web.Application) -> None:
        """Serve the page's parts and the browser client; ``/`` itself is the app's to route."""
        for name in ("live.js", "live.css"):
            app.router.add_get(f"/{name}", _file(STATIC / name))
        for name in CLIENT_FILES:
            app.router.add_get(f"/socket.io/{name}", _file(CLIENT / name))

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Answer with the first page."""
        return web.FileResponse(STATIC / "index.html", headers=HEADERS)


def _file(path: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if not path.is_file():  # noqa: ASYNC240 - a local file's stat
            raise NotFound(f"{path.name} is not installed; `make browser-client` does it")
        return web.FileResponse(path, headers=HEADERS)

    return answer
