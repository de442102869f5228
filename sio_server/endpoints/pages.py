"""The files that a browser loads: the live page, the official Socket.IO client, and our own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from sio_server.contract.errors import NotFound
from sio_server.endpoints.responses import PAGE_HEADERS

STATIC = Path(__file__).parent.parent / "static"
PAGE = STATIC / "page"
"""The scripts and style sheets of the live page. The server takes their names when it starts."""

SOCKETIO_CLIENT = STATIC / "socket.io"
FURNITURE_CLIENT = STATIC / "client"
"""``make browser-client`` puts the files of the npm packages ``socket.io-client`` and
``furniture-events`` here."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SOCKETIO_FILES = tuple(
    name + suffix
    for name in ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js")
    for suffix in ("", ".map")
)
BUILT_FILES = {"main.js": "page.js", "page.css": "page.css"}
"""What ``make browser-client`` makes of the page: all scripts, and all style sheets."""

FURNITURE_FILES = ("furniture-events.js", "furniture-events.global.js")
FILE_HEADERS = {**PAGE_HEADERS, "Cache-Control": "no-cache"}


class Pages:
    """The live page and the files that it loads."""

    def add_routes(self, app: web.Application) -> None:
        """Serve the page's files and the browser clients. The app routes ``/`` itself."""
        built = _built_files()
        for path in sorted(PAGE.iterdir()):
            app.router.add_get(f"/page/{path.name}", _file(built.get(path.name, path)))
        app.router.add_get("/docs.css", _file(STATIC / "docs.css"))
        for name in SOCKETIO_FILES:
            app.router.add_get(f"/socket.io/{name}", _file(SOCKETIO_CLIENT / name))
        for name in FURNITURE_FILES:
            app.router.add_get(f"/client/{name}", _file(FURNITURE_CLIENT / name))

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Answer with the live page."""
        return web.FileResponse(STATIC / "index.html", headers=FILE_HEADERS)


def _built_files() -> dict[str, Path]:
    """Return the small files that stand for the page's sources, unless a source is newer."""
    built = {name: FURNITURE_CLIENT / file for name, file in BUILT_FILES.items()}
    if not all(path.is_file() for path in built.values()):
        return {}
    newest_source = max(path.stat().st_mtime for path in PAGE.iterdir())
    is_fresh = min(path.stat().st_mtime for path in built.values()) >= newest_source
    return built if is_fresh else {}


def _file(path: Path) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        if not path.is_file():  # noqa: ASYNC240 - one stat of a local file
            raise NotFound(f"{path.name} is not installed; run `make browser-client`")
        return web.FileResponse(path, headers=FILE_HEADERS)

    return answer
