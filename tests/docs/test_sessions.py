"""The examples of the protocol and of the errors, typed into a real server: it answers as shown.

A block ``console`` has commands of a shell, a block ``wscat`` messages of the plain WebSocket, and
a block ``js`` a client in Node.js; the comment after ``console.log`` is its output. ``…`` stands
for any text.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import load_vectors
from tests.support import pages
from tests.support.pages import shows
from tests.support.processes import program_folder
from tests.support.raw import Closed, plain
from tests.support.server import ROOT, TIMEOUT, Server, readiness

DOCS = ROOT / "docs"
SETTINGS: dict[str, dict[str, object]] = {
    "access.md": {
        "producer_keys": "django:a-key-for-this-test",
        "jwt_secret": "a-secret-of-32-bytes-for-this-test",
    },
    "errors/unauthorized.md": {
        "producer_keys": "django:a-key-for-this-test",
        "jwt_secret": "a-secret-of-32-bytes-for-this-test",
    },
    "errors/forbidden.md": {"open_publish": "off"},
    "errors/rate_limited.md": {"rate_limit": 1},
}
"""The pages whose examples need a server with other settings, which they name."""

FURNITURE = load_vectors("events.json")[0]["publish"]["furniture"]
PRELUDE = f"""
const {{ io }} = require("socket.io-client");
const url = process.argv[1], furniture = {json.dumps(FURNITURE)};
"""
SILENT = """
socket.on("ready", () => console.log("it is ready"));
"""
"""Added to a script that prints nothing."""


def with_block(language: str) -> list[str]:
    """Return the pages that have such blocks."""
    return [
        str(page.relative_to(DOCS))
        for page in pages.pages()
        if page.is_relative_to(DOCS) and pages.blocks(language, page)
    ]


@pytest.fixture(scope="module")
def serve(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Server]]:
    """Return the server for a page."""
    others: list[Server] = []

    def find(page: str) -> Server:
        if page not in SETTINGS:
            return server
        others.append(Server(tmp_path_factory.mktemp("other"), **SETTINGS[page]))
        return others[-1]

    yield find
    for other in others:
        assert other.stop() == 0


@pytest.mark.parametrize("page", with_block("console"))
def test_commands_print_what_the_page_shows(
    page: str, serve: Callable[[str], Server], tmp_path: Path
) -> None:
    """The address is that of the test's server. ``$KEY`` is its producer key."""
    host = serve(page).host
    port = next(it for it in range(8800, 9999) if readiness(f"http://127.0.0.1:{it}") is None)
    environment = {
        **{name: it for name, it in os.environ.items() if not name.startswith("SIO_")},
        "PATH": os.pathsep.join((str(program_folder(tmp_path)), os.environ["PATH"])),
        "PYTHONPATH": str(ROOT),
        "SIO_PORT": str(port),
        "KEY": "a-key-for-this-test",
    }
    for block in pages.blocks("console", DOCS / page):
        for command, expected in pages.steps(block):
            done = subprocess.run(
                ["bash", "-euc", command.replace("localhost:8765", host)],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
                timeout=TIMEOUT,
            )
            shown = expected.replace("port 8765", f"port {port}")
            assert shows(shown, done.stdout), f"{command}\n{done.stdout}"


@pytest.mark.parametrize("page", with_block("wscat"))
async def test_messages_are_answered_as_the_page_shows(page: str, server: Server) -> None:
    """Each block is one connection, which it may see closed at its end."""
    for block in pages.blocks("wscat", DOCS / page):
        command, *lines = block.splitlines()
        url = shlex.split(command)[-1].replace("localhost:8765", server.host)
        async with plain(url) as client:
            for line in lines:
                if line.startswith("> "):
                    await client.send(line[2:])
                elif line.startswith("< "):
                    assert shows(line[2:], await client.receive_text())
                else:
                    with pytest.raises(Closed) as closed:
                        await client.receive_text()
                    assert line == f'Disconnected (code: {closed.value.code}, reason: "")'


@pytest.mark.parametrize("page", with_block("js"))
async def test_scripts_print_what_their_comments_say(page: str, server: Server) -> None:
    """A block without a connection of Socket.IO is for a browser (``test_browser_scripts.py``)."""
    for block in pages.blocks("js", DOCS / page):
        expected = re.findall(r"console\.log\(.*\); // (.+)", block)
        if "io(url" not in block:
            continue
        if not expected:
            block += SILENT  # noqa: PLW2901
            expected = ["it is ready"]
        process = await asyncio.create_subprocess_exec(
            *("node", "-e", PRELUDE + block, server.url),
            cwd=ROOT / "tests/node",
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(TIMEOUT):
                printed = [(await process.stdout.readline()).decode() for _ in expected]
        finally:
            process.kill()
            await process.wait()
        assert sorted(line.strip() for line in printed) == sorted(expected)


def test_every_server_with_settings_is_for_a_page() -> None:
    """And the page names these settings."""
    for page, settings in SETTINGS.items():
        text = (DOCS / page).read_text()
        assert all(f"SIO_{name.upper()}" in text for name in settings)
