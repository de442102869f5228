"""Every code block of the README runs, and its output is as shown."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support import browser, pages
from tests.support.demo import demo_environment
from tests.support.raw import plain
from tests.support.server import ROOT, TIMEOUT, free_ports, readiness, wait_until
from tests.support.wscat import wscat

_, FURNITURE_HTML = pages.blocks("html")
SHELL = pages.blocks("sh")


def test_every_kind_of_block_is_run_here() -> None:
    """A block in a new language, or a new shell block, needs a test of its own here."""
    languages = {block.language for block in pages.code(pages.README)}
    assert languages == {"sh", "wscat", "html", "python"}
    assert len(SHELL) == 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run ``make run`` as in the README, with another port and other files; return its address."""
    (command,) = (block for block in SHELL if block.startswith("make run"))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("SIO_", "ARGS", "MAKE")
        )  # not those of the `make test` that runs this
    }
    environment |= {
        "SIO_PORT": "0",
        "SIO_EVENT_LOG": f"sqlite:///{tmp_path_factory.mktemp('made')}/events.db",
        "SIO_LOG_FORMAT": "json",
        "SIO_DRAIN_SECONDS": "1",
        "PYTHON": sys.executable,
    }
    log = tmp_path_factory.mktemp("log") / "stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command, shell=True, cwd=ROOT, env=environment, stderr=stderr, start_new_session=True
        )
        try:
            found = wait_until(
                lambda: re.search(r'"listening".*"port": (\d+)', log.read_text()),
                "the server of make run listens",
                timeout=120,
            )
            yield f"localhost:{found[1]}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(TIMEOUT)


def test_make_test_runs_pytest() -> None:
    """``make test`` itself would run this test, so only its plan is checked."""
    (command,) = (block for block in SHELL if block.startswith("make test"))
    planned = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "-m pytest" in planned


async def test_the_wscat_session_works_as_shown(made: str) -> None:
    """Lines with > are typed, and lines with < must appear."""
    (session,) = pages.blocks("wscat")
    async with wscat("-c", f"ws://{made}") as terminal:
        for line in session.splitlines():
            if line.startswith("> "):
                terminal.type(line[2:])
            else:
                seen = await terminal.receive()
                expected = json.loads(line[2:])
                assert seen == {
                    name: seen[name] if value == "…" else value for name, value in expected.items()
                }


def test_the_curl_commands_work(made: str) -> None:
    """They publish, read and stream."""
    if shutil.which("curl") is None:
        pytest.fail("curl is needed for the README's commands: install it")
    (commands,) = (block for block in SHELL if block.startswith("curl"))
    output = subprocess.run(
        ["bash", "-euc", commands.replace("localhost:8765", made)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.search(r'"offset":"[^"]+","timestamp":"[^"]+","duplicate":false\}', output)
    assert '{"events":[{"type":"furniture_created","furniture":{"furniture_id":"1"' in output
    assert "event: ready" in output


def test_the_commands_of_the_command_line_work(made: str) -> None:
    """The history shows the published event. The position is its offset."""
    (commands,) = (block for block in SHELL if "sio_server publish" in block)
    output = subprocess.run(
        ["bash", "-euc", commands.replace(".venv/bin/python", sys.executable)],
        cwd=ROOT,
        env={**os.environ, "SIO_URL": f"http://{made}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    published, _, position = output.splitlines()
    assert published == position


async def publish(made: str, event: dict[str, Any]) -> None:
    """Publish with an acknowledgement over a plain WebSocket."""
    async with plain(f"http://{made}/?room=type:furniture_deleted") as client:
        await client.send({**event, "ref": 1})
        assert (await client.receive_type("ack", "error"))["type"] == "ack"


async def test_the_frontend_shows_published_events(made: str) -> None:
    """A real browser opens the page from another local site, and it shows events of its room."""
    page_source = "<!doctype html>" + FURNITURE_HTML.replace("localhost:8765", made)

    async def serve_page(request: web.Request) -> web.Response:
        return web.Response(text=page_source, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", serve_page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    example = json.loads(pages.blocks("wscat")[0].splitlines()[0][2:])
    try:
        async with browser.page() as page:
            await page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            item = page.get_by_text(f"furniture_created: {example['furniture']['nombre']}")
            async with asyncio.timeout(TIMEOUT):
                while await item.count() == 0:  # published again until the page has joined
                    await publish(made, example)
            other = {**example["furniture"], "material": "pino", "furniture_id": "2", "nombre": "P"}
            await publish(made, {**example, "furniture": other})
            assert await page.get_by_text("furniture_created: P").count() == 0
    finally:
        await runner.cleanup()


def test_the_python_client_installs_with_the_command_shown(tmp_path: Path) -> None:
    """The package contains its modules and its type marker."""
    (command,) = (block for block in SHELL if block.startswith("pip"))
    pip = f"{sys.executable} -m pip --disable-pip-version-check"
    subprocess.run(
        [
            *shlex.split(command.replace("pip", pip, 1)),
            "--quiet",
            "--no-deps",
            "--target",
            str(tmp_path),
        ],
        cwd=ROOT,
        check=True,
    )
    assert (tmp_path / "furniture_events" / "py.typed").is_file()


MODELS = """
from django.conf import settings
from django.db import models


class Mueble(models.Model):
    nombre = models.CharField(max_length=255)
    descripcion = models.TextField()
    altura = models.FloatField()
    ancho = models.IntegerField()
    material = models.CharField(max_length=255)
    autor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
"""

CHANGES = """
from catalogo.models import Mueble
from django.contrib.auth.models import User
from django.db import transaction

piece = Mueble.objects.create(
    nombre="Mesa", descripcion="", altura=75, ancho=120, material="wengue",
    autor=User.objects.create_user("Juan"),
)
try:
    with transaction.atomic():
        piece.nombre = "never"
        piece.save()
        raise ValueError
except ValueError:
    pass
piece.nombre = "Mesa grande"
piece.save()
piece.delete()
"""


async def test_a_new_django_site_publishes_its_commits(made: str, tmp_path: Path) -> None:
    """A site that is set up as shown publishes committed changes, but not one rolled back."""
    environment = demo_environment(tmp_path, None)

    def run(command: str) -> None:
        subprocess.run(shlex.split(command), cwd=tmp_path, env=environment, check=True)

    python = sys.executable
    (settings,) = pages.blocks("python")
    (commands,) = (block for block in SHELL if "manage.py" in block)
    migrate, relay = commands.replace("python", python).splitlines()
    run(f"{python} -m django startproject sitio .")
    run(f"{python} -m django startapp catalogo")
    (tmp_path / "catalogo/models.py").write_text(MODELS)
    with (tmp_path / "sitio/settings.py").open("a") as file:
        file.write("INSTALLED_APPS += ['catalogo']\n" + settings.replace("localhost:8765", made))
    run(f"{python} manage.py makemigrations catalogo")
    run(migrate)
    async with plain(f"http://{made}/ws?room=material:wengue") as client:
        await client.send({"type": "ping"})
        await client.receive_type("pong")
        relaying = await asyncio.create_subprocess_exec(
            *shlex.split(relay), cwd=tmp_path, env=environment
        )
        run(f"{python} manage.py shell -c {shlex.quote(CHANGES)}")
        seen = [await client.receive() for _ in range(3)]
        relaying.terminate()
        assert await relaying.wait() == 0
    assert [
        (event["type"], event["furniture"]["nombre"], event["furniture"]["autor_username"])
        for event in seen
    ] == [
        ("furniture_created", "Mesa", "Juan"),
        ("furniture_updated", "Mesa grande", "Juan"),
        ("furniture_deleted", "Mesa grande", "Juan"),
    ]


def test_a_killed_server_has_its_events_when_it_is_back(tmp_path: Path) -> None:
    """The commands run as shown, on another port, and a piece is published before the kill."""
    (commands,) = (block for block in SHELL if "kill -9" in block)
    (publishing,) = (block.partition("\ncurl")[0] for block in SHELL if block.startswith("curl"))
    (port,) = free_ports(1)
    host = f"localhost:{port}"
    environment = demo_environment(tmp_path, None) | {
        "SIO_PORT": str(port),
        "SIO_LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }
    script = commands.replace(".venv/bin/python", sys.executable).replace(
        "sleep 3", f"until {publishing.replace('localhost:8765', host)}; do sleep 0.05; done"
    )
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        listening = (line for line in process.stderr if '"listening"' in line)
        assert next(listening)
        assert next(listening)
        wait_until(lambda: readiness(f"http://{host}") == 200, "it is ready")
        with urllib.request.urlopen(f"http://{host}/api/events", timeout=TIMEOUT) as answer:
            (event,) = json.load(answer)["events"]
        assert event["furniture"]["nombre"] == "Silla"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=TIMEOUT)


def test_make_demo_serves_a_site_until_ctrl_c(tmp_path: Path) -> None:
    """It runs on other ports with other files here, and ends at SIGINT."""
    assert "make demo\n" in SHELL
    site, broker = free_ports(2)
    environment = demo_environment(tmp_path, None) | {
        "DEMO_PORT": str(site),
        "DEMO_BROKER_PORT": str(broker),
        "DEMO_DATA": str(tmp_path),
        "PYTHON": sys.executable,
    }
    url, log = f"http://127.0.0.1:{site}/", tmp_path / "output"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["make", "demo"], cwd=ROOT, env=environment, stdout=output, start_new_session=True
        )
        try:
            wait_until(lambda: url in log.read_text(), "the demo prints its URL", timeout=120)
            assert readiness(url, "") == 200
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(TIMEOUT)
    assert readiness(url, "") is None
