"""The files that a browser loads: the live page, and the official Socket.IO client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from sio_server.contract.errors import NotFound

STATIC = Path(__file__).parent.parent / "static"
CLIENT = STATIC / "socket.io"
"""``make browser-client`` puts the files of the npm package ``socket.io-client`` here."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

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
    """The live page and the files that it loads."""

    def add_routes(self, app: web.Application) -> None:
        """Serve the page's files and the browser client. The app routes ``/`` itself."""
        for name in ("live.js", "live.css"):
            app.router.add_get(f"/{name}", _file(STATIC / name))
        for name in CLIENT_FILES:
            app.router.add_get(f"/socket.io/{name}", _file(CLIENT / name))

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Answer with the live page."""
        return web.FileResponse(STATIC / "index.html", headers=HEADERS)


def _file(path: Path) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        if not path.is_file():  # noqa: ASYNC240 - one stat of a local file
            raise NotFound(f"{path.name} is not installed; run `make browser-client`")
        return web.FileResponse(path, headers=HEADERS)

    return answer
