"""The demo before its processes run together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.demo import demo_environment
from tests.support.server import ROOT, TIMEOUT


def test_ctrl_c_while_it_migrates_ends_it_quietly(tmp_path: Path) -> None:
    """As a shell tells of it, by the status 130, with no traceback and nothing left."""
    with socket.create_server(("127.0.0.1", 0)) as database:  # which never answers
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
            said, _ = command.communicate(timeout=TIMEOUT)
            assert (command.returncode, said) == (130, "")
            while connection.recv(4096):  # what it asked, until it is gone
                pass
