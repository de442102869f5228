"""A real PostgreSQL for tests: a new cluster, from the machine's own binaries."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

USER = "catalog"


def binaries() -> Path:
    """Return the folder of ``initdb`` and ``pg_ctl``: from PATH, or Debian's newest version."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3])
    )
    assert versions, "PostgreSQL is needed: make postgres"
    return versions[-1].parent


class Postgres:
    """A new cluster on a free port of 127.0.0.1.

    PostgreSQL refuses to run as root. Then the cluster runs as Debian's user ``postgres``, or as
    ``nobody``.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._as = self._user()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def start(self) -> None:
        """Create the cluster, start it, and wait until it answers."""
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
        }
        words = " ".join(f"-c {name}={value}" for name, value in options.items())
        self._run("pg_ctl", "-D", data, "-l", self.folder / "log", "-o", words, "-w", "start")

    def stop(self) -> None:
        """End the cluster, and delete its files."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder)

    def database(self, name: str) -> dict[str, object]:
        """Return the entry of Django's DATABASES for one of its databases."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": USER,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
        }

    def create(self, name: str) -> dict[str, object]:
        """Create a database; return its entry of Django's DATABASES."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, name)
        return self.database(name)

    def _user(self) -> str | None:
        if os.getuid() != 0:
            return None
        names = [line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()]
        user = "postgres" if "postgres" in names else "nobody"
        shutil.chown(self.folder, user)
        return user

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [binaries() / program, *map(str, arguments)],
            user=self._as,
            cwd=self.folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
