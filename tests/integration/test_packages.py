"""The packages: installed in an empty environment, they are the whole product."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sio_server import __version__
from tests.support.server import ROOT, TIMEOUT

INSTALL_SECONDS = 150
COMMAND = "furniture-events-server"

PUBLISH = """
from furniture_events import Producer
with Producer("http://127.0.0.1:{port}") as producer:
    print(producer.furniture_created({furniture!r}).offset)
"""
FURNITURE = {
    "furniture_id": "1",
    "nombre": "Mesa",
    "descripcion": "",
    "altura": 75,
    "ancho": 120,
    "material": "roble",
    "autor_username": "ana",
}
FILES = (
    "/",
    "/page/main.js",
    "/page/page.css",
    "/docs.css",
    "/api/docs",
    "/client/furniture-events.js",
    "/client/furniture-events.global.js",
    "/socket.io/socket.io.js",
)


def run(*arguments: object, cwd: Path) -> str:
    """Run a program without settings of the server; return its output."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "SIO_"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(it) for it in arguments],
        cwd=cwd,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both wheels and install them; return the programs' folder."""
    folder = tmp_path_factory.mktemp("packages")
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    wheels = (*pip, "wheel", "--no-deps", "--wheel-dir", "wheels", ROOT, ROOT / "clients/python")
    run(sys.executable, *wheels, cwd=folder)
    run(sys.executable, "-m", "venv", "venv", cwd=folder)
    programs = folder / "venv/bin"
    run(programs / "python", *pip, "install", *folder.glob("wheels/*.whl"), cwd=folder)
    return programs


def test_the_wheels_are_the_whole_product(installed: Path, tmp_path: Path) -> None:
    """The command starts the server with its page and its clients, and the producer publishes."""
    environment = {
        "PATH": os.environ["PATH"],
        "SIO_OPEN_PUBLISH": "loopback",
        "SIO_LOG_FORMAT": "json",
    }
    server = subprocess.Popen(
        [installed / COMMAND, "--port", "0", "--host", "127.0.0.1"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        lines = map(json.loads, server.stderr)
        port = next(line["port"] for line in lines if line["message"] == "listening")
        url = f"http://127.0.0.1:{port}"
        for path in FILES:
            with urllib.request.urlopen(url + path, timeout=TIMEOUT) as answer:
                assert answer.status == 200
                assert answer.read()
        script = PUBLISH.format(port=port, furniture=FURNITURE)
        offset = run(installed / "python", "-c", script, cwd=tmp_path).strip()
        with urllib.request.urlopen(f"{url}/api/events", timeout=TIMEOUT) as answer:
            page = json.load(answer)
        assert page["position"] == page["events"][0]["offset"] == offset
        assert (tmp_path / "var/events.db").exists()
    finally:
        server.send_signal(signal.SIGTERM)
        _, rest = server.communicate(timeout=TIMEOUT)
    assert server.returncode == 0, rest


def test_the_command_knows_its_name_and_version(installed: Path, tmp_path: Path) -> None:
    """And so does its help."""
    assert run(installed / COMMAND, "--version", cwd=tmp_path) == f"{COMMAND} {__version__}\n"
    assert f"Usage: {COMMAND} " in run(installed / COMMAND, "--help", cwd=tmp_path)
    assert f"Usage: {COMMAND} key " in run(installed / COMMAND, "key", "--help", cwd=tmp_path)


def test_all_packages_have_the_same_version() -> None:
    """The server, the Python client and the JavaScript client."""
    client = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())
    javascript = json.loads((ROOT / "clients/javascript/package.json").read_text())
    assert client["project"]["version"] == javascript["version"] == __version__


def test_the_package_requires_what_the_lock_has() -> None:
    """The same packages. The locked versions are allowed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {it.name: it for it in map(Requirement, project["dependencies"])}
    lines = (ROOT / "requirements.in").read_text().splitlines()
    locked = {it.name: it for it in map(Requirement, (it for it in lines if it[0] != "#"))}
    assert required.keys() == locked.keys()
    for name, requirement in required.items():
        (pin,) = locked[name].specifier
        assert requirement.specifier.contains(pin.version), name
