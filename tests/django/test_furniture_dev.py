"""``manage.py furniture_dev``: broker, relay and site in one command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from tests.django.databases import on_sqlite
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.relays import site_environment
from tests.support.processes import children, command_line, descendants, output_until, runs
from tests.support.server import TIMEOUT, free_ports, readiness, wait_until

KEY = "a-key-of-a-producer"


class Dev:
    """The running command."""

    def __init__(self, folder: Path, mode: str = "outbox") -> None:
        self.port, broker_port = free_ports(2)
        self.broker = f"http://127.0.0.1:{broker_port}"
        setting = {"URL": self.broker, "KEY": KEY, "MODE": mode}
        environment = site_environment(connection.settings_dict, **setting)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "django", "furniture_dev", str(self.port)],
            cwd=folder,
            env={name: value for name, value in environment.items() if name[:4] != "SIO_"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = output_until(self.process, "Ctrl-C")
        self.started = descendants(self.process.pid)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the status and the rest of the output. No process is left."""
        output, _ = self.process.communicate(timeout=TIMEOUT)
        wait_until(lambda: not any(map(runs, self.started)), "all have ended")
        assert readiness(self.broker) is None
        return self.process.returncode, output


@pytest.fixture
def dev(db: None, tmp_path: Path) -> Iterator[Dev]:
    """Run the command with the test's database."""
    running = Dev(tmp_path)
    yield running
    running.process.terminate()
    running.process.communicate(timeout=TIMEOUT)


def published(dev: Dev) -> list[str]:
    """Return the pieces of the broker's log."""
    with urllib.request.urlopen(f"{dev.broker}/api/events") as answer:
        return [event["furniture"]["nombre"] for event in json.load(answer)["events"]]


@on_sqlite
def test_one_command_starts_all_and_ctrl_c_ends_it(dev: Dev, autor: User) -> None:
    """The site answers, a save gets to the broker, and each line has the name of its process."""
    assert readiness(f"http://127.0.0.1:{dev.port}", "/admin/login/") == 200
    mueble(autor).save()
    wait_until(lambda: published(dev) == ["Mesa"], "the piece is published")
    assert {line[:8] for line in dev.output.splitlines() if line[7:8] == "|"} >= {
        "broker |",
        "relay  |",
    }
    assert len(dev.started) == 5  # a guard, broker, relay, runserver and the site that it reloads
    dev.process.send_signal(signal.SIGINT)
    status, output = dev.end()
    assert (status, "Traceback" in output) == (0, False)


@on_sqlite
def test_a_closed_terminal_ends_all(dev: Dev) -> None:
    """It sends SIGHUP."""
    dev.process.send_signal(signal.SIGHUP)
    assert dev.end()[0] == 0


@on_sqlite
def test_a_killed_command_leaves_no_process(dev: Dev) -> None:
    """It cannot stop them itself. Also the child of runserver ends, and the ports are free."""
    dev.process.kill()
    assert dev.end()[0] == -signal.SIGKILL


@on_sqlite
@pytest.mark.parametrize(("name", "part"), [("broker", "sio_server"), ("site", "runserver")])
def test_the_end_of_one_process_ends_all(dev: Dev, name: str, part: str) -> None:
    """Even if it is killed, and leaves a child, as runserver does. The last line says which."""
    (killed,) = (it for it in children(dev.process.pid) if part in command_line(it))
    os.kill(killed, signal.SIGKILL)
    status, output = dev.end()
    assert status == 1
    assert output.splitlines()[-1] == (
        f"CommandError: the {name} has ended, so the others were stopped"
    )


@on_sqlite
def test_direct_mode_has_no_relay(db: None, tmp_path: Path) -> None:
    """Each commit publishes by itself. SIGTERM ends the others."""
    dev = Dev(tmp_path, mode="direct")
    dev.process.terminate()
    status, output = dev.end()
    assert status == 0
    assert "relay  |" not in dev.output + output


@on_sqlite
def test_mistakes_are_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker elsewhere, no broker to import, a port that is none or in use, a missing outbox."""
    with override_setting(URL="https://events.example"):
        with pytest.raises(CommandError, match="set it to http://127"):
            call_command("furniture_dev")
    with pytest.raises(CommandError, match="'http' is not a port"):
        call_command("furniture_dev", "http")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=f"another program listens on port {port}, perhaps"):
            call_command("furniture_dev", str(port))
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "sio_server", None)
        with pytest.raises(CommandError, match="cannot import sio_server"):
            call_command("furniture_dev")
    call_command("migrate", "furniture_events", "zero", verbosity=0)
    try:
        with pytest.raises(CommandError, match=r"manage\.py migrate"):
            call_command("furniture_dev")
    finally:
        call_command("migrate", "furniture_events", verbosity=0)
