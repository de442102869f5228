"""The units of ``deploy/systemd``. A real systemd runs them; only the watchdog is quicker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from furniture_events import Producer

from sio_server.settings import Settings
from tests.conftest import load_vectors
from tests.support.server import ROOT, TIMEOUT, free_ports, readiness, wait_until
from tests.support.systemd import Machine

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
MAX_EXPOSURE = 25
"""Tenths of systemd's own measure of what a service could do; 100 is everything."""

SERVER, RELAY = "furniture-events", "furniture-events-relay"
STATE = "/var/lib/private/furniture-events"
"""The target of the link ``/var/lib/furniture-events``: the folder of a dynamic user."""

SITE = ROOT / "examples/django_catalog"
KEY = "a-key-that-only-root-can-read"
SITE_USER = 4321
DYNAMIC_USERS = range(61184, 65520)
"""systemd takes the users of DynamicUser from here."""

EVENT: dict[str, Any] = load_vectors("events.json")[0]["publish"]
PREPARE = """
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
from catalog.models import Mueble
ana = User.objects.create(username="ana")
Mueble.objects.create(nombre="Silla", altura=92, ancho=45, material="haya", autor=ana)
"""


def add_site(machine: Machine, port: int) -> None:
    """Write the demo's site, with the outbox of a saved piece in its database."""
    site = machine.path("srv/site")
    shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("*.sqlite3*"))
    machine.add_user("site", SITE_USER)
    machine.add_python("srv/site/.venv/bin/python")
    machine.path("srv/site/site.env").write_text(
        f"SECRET_KEY=only-a-test\nFURNITURE_EVENTS_URL=http://127.0.0.1:{port}\n"
        f"FURNITURE_EVENTS_KEY={KEY}\n"
    )
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "site_muebles.settings"}
    command = [sys.executable, "-c", PREPARE]
    subprocess.run(command, cwd=site, env=environment, check=True, timeout=TIMEOUT)
    for path in (site, *site.rglob("*")):
        os.chown(path, SITE_USER, SITE_USER)


@pytest.fixture(scope="module")
def port() -> int:
    """Return the port of the server."""
    (free,) = free_ports(1)
    return free


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Machine]:
    """Return a machine on which somebody has followed the steps of docs/deploy.md."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    for unit in UNITS:
        machine.add_unit(unit.name, unit.read_text())
    machine.add_unit(f"{SERVER}.service.d/watchdog.conf", "[Service]\nWatchdogSec=4\n")
    machine.add_python("opt/furniture-events/bin/furniture-events-server", "-m", "sio_server")
    machine.path("etc/furniture-events/server.env").write_text(
        f"SIO_HOST=127.0.0.1\nSIO_PORT={port}\n"
    )
    keys = machine.path("etc/furniture-events/producer-keys")
    keys.write_text(f"site:{KEY}\n")
    keys.chmod(0o600)
    add_site(machine, port)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()


@pytest.fixture
def url(machine: Machine, port: int) -> str:
    """Start the server, unless it runs; return its address."""
    machine.systemctl("start", SERVER)
    url = f"http://127.0.0.1:{port}"
    assert readiness(url) == 200, "systemctl has not waited until the server serves"
    return url


def test_the_server_has_few_rights(machine: Machine, url: str, port: int) -> None:
    """It is a user that exists only now, and it sees and writes what it needs."""
    unit = machine.show(SERVER)
    assert unit["StatusText"] == f"serving on port {port}"
    assert int(unit["UID"]) in DYNAMIC_USERS
    log = machine.path(f"{STATE}/var/events.db").stat()
    assert (log.st_uid, log.st_mode & 0o777) == (int(unit["UID"]), 0o600)
    process = f"/proc/{unit['MainPID']}"
    status = dict(it.split(":\t", 1) for it in machine.read(f"{process}/status").splitlines())
    rights = {name: status[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}
    assert rights == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    mounts = [it.split() for it in machine.read(f"{process}/mounts").splitlines()]
    writable = {path: options[:3] == "rw," for _, path, _, options, *_ in mounts}
    assert writable[STATE]
    read_only = ("/", "/dev/shm", "/etc", "/opt", "/root", "/run", "/var/lib/private")
    assert [path for path in read_only if writable[path]] == []
    environment = machine.read(f"{process}/environ")
    assert f"SIO_PRODUCER_KEYS_FILE=/run/credentials/{SERVER}.service/producer-keys" in environment
    assert KEY not in environment


def events(url: str) -> list[dict[str, Any]]:
    """Return the events of the server's log."""
    with urllib.request.urlopen(f"{url}/api/events", timeout=TIMEOUT) as answer:
        found: list[dict[str, Any]] = json.load(answer)["events"]
    return found


def test_a_server_that_hangs_starts_again_with_its_events(machine: Machine, url: str) -> None:
    """A reload keeps its process. The watchdog ends it."""
    with Producer(url, key=KEY) as producer:
        offset = producer.publish(EVENT).offset
    first = machine.show(SERVER)
    machine.systemctl("reload", SERVER)
    assert machine.show(SERVER)["MainPID"] == first["MainPID"]
    starts = machine.log(SERVER).count('"listening"')
    machine.systemctl("kill", "--signal=STOP", "--kill-whom=main", SERVER)
    wait_until(lambda: machine.log(SERVER).count('"listening"') > starts, "it starts again")
    wait_until(lambda: readiness(url) == 200, "it serves again")
    second = machine.show(SERVER)
    assert (first["NRestarts"], second["NRestarts"]) == ("0", "1")
    assert second["MainPID"] != first["MainPID"]
    assert offset in [it["offset"] for it in events(url)]


def test_the_relay_publishes_the_rows_of_the_site(machine: Machine, url: str) -> None:
    """It runs as the site's user, and ends when systemd asks."""
    published = machine.log(SERVER).count('"delivered"')
    machine.systemctl("start", RELAY)
    wait_until(
        lambda: machine.log(SERVER).count('"delivered"') > published, "the relay has published"
    )
    assert events(url)[-1]["furniture"]["nombre"] == "Silla"
    unit = machine.show(RELAY)
    assert (unit["UID"], unit["NRestarts"]) == (str(SITE_USER), "0"), machine.log(RELAY)
    machine.systemctl("stop", RELAY)
    unit = machine.show(RELAY)
    assert (unit["ActiveState"], unit["Result"]) == ("inactive", "success"), machine.log(RELAY)


def test_the_server_ends_when_systemd_asks(machine: Machine, url: str) -> None:
    """It drains, and its end is no failure."""
    machine.systemctl("stop", SERVER)
    unit = machine.show(SERVER)
    assert (unit["ActiveState"], unit["Result"]) == ("inactive", "success")
    assert readiness(url) is None
    messages = [json.loads(line)["message"] for line in machine.log(SERVER).splitlines()]
    assert messages[-2:] == ["draining", "stopped"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit(tmp_path: Path, unit: Path) -> None:
    """Every line is known, and the service can do little harm. Only the program is another one."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing")
    lines = unit.read_text().splitlines()
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    text = unit.read_text().replace(start.split()[0], f"ExecStart={sys.executable}")
    (tmp_path / unit.name).write_text(text)
    for arguments in (
        ["verify", "--man=no"],
        ["security", "--offline=yes", f"--threshold={MAX_EXPOSURE}", "--no-pager"],
    ):
        command = [analyze, *arguments, str(tmp_path / unit.name)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        warnings = [line for line in done.stderr.splitlines() if unit.name in line]
        assert (done.returncode, warnings) == (0, []), done.stdout + done.stderr


def test_systemd_waits_longer_than_the_drain() -> None:
    """Otherwise it would kill the server while its clients leave."""
    (unit,) = (it for it in UNITS if it.stem == "furniture-events")
    values = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    drain = Settings.model_fields["drain_seconds"].default
    assert int(values["TimeoutStopSec"]) >= drain + 10
