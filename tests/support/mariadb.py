"""A real MariaDB for tests: a new server, from the machine's own binaries."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pymysql

from tests.support.server import wait_until

USER = "root"


def server_program() -> str:
    """Return the path of ``mariadbd``, which Debian installs beside root's programs."""
    found = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, "MariaDB is needed: make mariadb"
    return found


class MariaDB:
    """A new server on a Unix socket, with the usual collation, which ignores case."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
        self._socket = str(self.folder / "socket")
        self._options = ["--no-defaults", f"--datadir={self.folder / 'data'}"]
        if os.getuid() == 0:  # MariaDB runs as root only if it is told to
            self._options.append("--user=root")

    def start(self) -> None:
        """Create the server's own tables, start it, and wait until it answers."""
        subprocess.run(
            [
                "mariadb-install-db",
                *self._options,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    server_program(),
                    *self._options,
                    f"--socket={self._socket}",
                    "--skip-networking",
                    "--innodb-flush-log-at-trx-commit=0",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers, "MariaDB answers")

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(self._socket) == 0

    def stop(self) -> None:
        """End the server, and delete its files."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder)

    def create(self, name: str) -> dict[str, object]:
        """Create a database; return its entry of Django's DATABASES."""
        with pymysql.connect(user=USER, unix_socket=self._socket) as connection:
            connection.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": name,
            "USER": USER,
            "HOST": self._socket,
            "OPTIONS": {"charset": "utf8mb4"},
        }
