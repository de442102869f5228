"""The packages: installed as ``deploy/Containerfile`` says, they are the whole product."""

from __future__ import annotations

import json
import subprocess
import tomllib
import urllib.request
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

from sio_server import __version__
from tests.support.containers import Image
from tests.support.server import ROOT, TIMEOUT, free_ports

COMMAND = "furniture-events-server"
PYTHON = "/opt/furniture-events/bin/python"

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


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Carry out the steps of the Containerfile."""
    built = Image(tmp_path_factory.mktemp("image"))
    built.build(ROOT / "deploy/Containerfile")
    return built


@pytest.fixture(scope="module")
def python(image: Image) -> str:
    """Install the Python client beside the server; return the path of this Python."""
    pip = ("pip", "--quiet", "--python", PYTHON, "install")
    image.run(*pip, str(ROOT / "clients/python"), read_only=False)
    return PYTHON


@pytest.fixture(scope="module")
def port(image: Image) -> Iterator[int]:
    """Run the image as the page says, without rights and with a read-only root; return the port."""
    (free,) = free_ports(1)
    image.environment |= {
        "PATH": "/usr/bin:/bin",
        "SIO_HOST": "127.0.0.1",
        "SIO_PORT": str(free),
        "SIO_OPEN_PUBLISH": "loopback",
    }
    server = subprocess.Popen(
        image.command(*image.entrypoint), env=image.environment, stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    lines = map(json.loads, server.stderr)
    try:
        assert next(line["port"] for line in lines if line["message"] == "listening") == free
        yield free
    finally:
        server.terminate()
        _, rest = server.communicate(timeout=TIMEOUT)
    assert server.returncode == 0, rest


def test_the_image_runs_without_rights(image: Image) -> None:
    """As its own user, who can write to the volume only."""
    assert image.user == image.run("sh", "-c", "echo $(id -u):$(id -g)").strip() == "10001:10001"
    for path in ("/opt/furniture-events/x", "/x"):
        assert image.run("sh", "-c", f"touch {path} 2>&1 || true").endswith(
            "Read-only file system\n"
        )


def test_the_image_is_the_whole_product(image: Image, python: str, port: int) -> None:
    """The server has its page and its clients, stores events, and the producer publishes."""
    url = f"http://127.0.0.1:{port}"
    for path in FILES:
        with urllib.request.urlopen(url + path, timeout=TIMEOUT) as answer:
            assert answer.status == 200
            assert answer.read()
    script = PUBLISH.format(port=port, furniture=FURNITURE)
    offset = image.run(python, "-c", script).strip()
    with urllib.request.urlopen(f"{url}/api/events", timeout=TIMEOUT) as answer:
        page = json.load(answer)
    assert page["position"] == page["events"][0]["offset"] == offset
    assert image.run("ls", "/var/lib/furniture-events/var").split()[0] == "events.db"


def test_the_health_check_tells_whether_the_server_answers(image: Image, port: int) -> None:
    """It asks the port that the settings name."""
    check = image.command(*image.healthcheck)
    subprocess.run(check, env=image.environment, check=True, timeout=TIMEOUT)
    (closed,) = free_ports(1)
    elsewhere = {**image.environment, "SIO_OPS_PORT": str(closed)}
    done = subprocess.run(check, env=elsewhere, check=False, stderr=subprocess.PIPE)
    assert (done.returncode, b"refused" in done.stderr) == (1, True)


def test_the_command_knows_its_name_and_version(image: Image) -> None:
    """And so does its help."""
    (command,) = image.entrypoint
    assert image.run(command, "--version") == f"{COMMAND} {__version__}\n"
    assert f"Usage: {COMMAND} " in image.run(command, "--help")
    assert f"Usage: {COMMAND} key " in image.run(command, "key", "--help")


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
