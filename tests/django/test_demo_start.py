"""The demo at its start, before its processes run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.demo import demo_environment
from tests.support.server import ROOT, TIMEOUT


def test_ctrl_c_during_the_migration_ends_the_demo_quietly(tmp_path: Path) -> None:
    """The status is 130, as a shell expects. There is no traceback, and no process is left."""
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
            os.killpg(command.pid, signal.SIGINT)  # as a terminal does
            output, _ = command.communicate(timeout=TIMEOUT)
            assert (command.returncode, output) == (130, "")
            while connection.recv(4096):  # until the last process has closed it
                pass
