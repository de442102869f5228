"""The demo at its start, before its processes run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.demo import demo_environment
from tests.support.server import ROOT, TIMEOUT


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
