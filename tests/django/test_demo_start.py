"""The demo at its start, before its processes run, and the program that runs its broker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.django.databases import on_sqlite
from tests.support.demo import demo_environment
from tests.support.server import ROOT, TIMEOUT, wait_until

pytestmark = on_sqlite


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_during_the_migration_ends_the_demo_quietly(tmp_path: Path, number: int) -> None:
    """Ctrl-C, or the end of the terminal. There is no traceback, and no process is left."""
    with socket.create_server(("127.0.0.1", 0)) as database:  # never answers
        database.settimeout(TIMEOUT)
        host, port = database.getsockname()
        command = subprocess.Popen(
            [sys.executable, str(ROOT / "examples/demo.py")],
            cwd=tmp_path,
            env=demo_environment(tmp_path, {"HOST": host, "PORT": port, "USER": "x", "NAME": "x"})
            | {"PGSSLMODE": "disable"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        connection, _ = database.accept()
        with connection:
            connection.settimeout(TIMEOUT)
            os.killpg(command.pid, number)  # as a terminal does
            output, _ = command.communicate(timeout=TIMEOUT)
            assert (command.returncode, output) == (130, "")
            while connection.recv(4096):  # until the last process has closed it
                pass


def test_a_second_start_says_what_is_wrong(tmp_path: Path) -> None:
    """It says it before it changes anything."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        demo = subprocess.run(
            [sys.executable, str(ROOT / "examples/demo.py")],
            cwd=tmp_path,
            env=demo_environment(tmp_path, None) | {"DEMO_PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (demo.returncode, demo.stderr) == (1, "")
    (line,) = demo.stdout.splitlines()
    assert line.startswith(f"Another program listens on port {port}, perhaps another make demo")
    assert "DEMO_PORT" in line
    assert not (tmp_path / "catalog.sqlite3").exists()


RESTARTING = ROOT / "examples/restarting.py"


def restarting(pid_file: Path, code: str) -> subprocess.Popen[str]:
    """Run ``restarting.py`` with a Python process that runs this code."""
    return subprocess.Popen(
        [sys.executable, str(RESTARTING), str(pid_file), "0.1", sys.executable, "-uc", code],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_broker_starts_again(tmp_path: Path) -> None:
    """After the wait, and as often as it is killed. SIGTERM stops both programs."""
    pid_file = tmp_path / "broker.pid"
    with restarting(pid_file, "import os, signal; print(os.getpid()); signal.pause()") as command:
        assert command.stdout is not None
        pid = ""
        for _ in range(2):
            pid = another(pid, command.stdout.readline().strip())
            wait_until(lambda: _text(pid_file) == pid, "the file has its id")  # noqa: B023
            os.kill(int(pid), signal.SIGKILL)
            assert command.stdout.readline() == "killed; it starts again in 0.1 s\n"
        pid = another(pid, command.stdout.readline().strip())
        command.terminate()
        assert command.wait(TIMEOUT) == 0
    assert not Path(f"/proc/{pid}").exists()
    assert not pid_file.exists()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def another(before: str, pid: str) -> str:
    """Return the id of a process, which is not the one from before."""
    assert pid != before
    return pid


def test_a_broker_that_ends_by_itself_ends_the_demo(tmp_path: Path) -> None:
    """With its status, for example because its port is in use."""
    with restarting(tmp_path / "broker.pid", "raise SystemExit(3)") as command:
        assert command.wait(TIMEOUT) == 3
