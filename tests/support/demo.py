"""The demo's site, relay and broker, each as a process, so that a test can kill each one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.server import (
    ROOT,
    TIMEOUT,
    Server,
    free_ports,
    python_path,
    readiness,
    wait_until,
)

SITE = ROOT / "examples/django_catalog"
KEY = "a-key-of-a-producer"
TOKEN_SECRET = "a-secret-that-the-site-and-the-broker-know"
DOOMED = "Falla"
"""A request that saves a piece of this name fails after the save: see ``demo_settings.py``."""

SHELL = """
import contextlib, io, json, sys
import django
django.setup()
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(json.loads(line), {})
    print(json.dumps(printed.getvalue()), flush=True)
"""
"""Runs the code of each line, like ``manage.py shell``, and answers with the code's output."""

ROWS = """
import json
from catalog.models import Mueble
fields = "pk", "nombre", "descripcion", "material", "altura", "ancho", "autor__username"
print(json.dumps([[str(value) for value in row] for row in Mueble.objects.values_list(*fields)]))
"""

PREPARE = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("seed")
"""

STATUS = """
from django.core.management import call_command
call_command("relay_furniture_events", "--status")
"""


def demo_environment(folder: Path, database: dict[str, Any] | None) -> dict[str, str]:
    """Return the environment of the demo with its data in a folder, or in a PostgreSQL database."""
    overridden = (
        *("SIO_", "DJANGO_SETTINGS_MODULE", "DEMO_", "CATALOG_", "FURNITURE_EVENTS_"),
        *("SECRET_KEY", "DEBUG", "ALLOWED_HOSTS"),
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(overridden)
    }
    if database is None:
        return environment | {"CATALOG_SQLITE": str(folder / "catalog.sqlite3")}
    where = {f"PG{name}": str(database[name]) for name in ("HOST", "PORT", "USER")}
    return environment | where | {"CATALOG_POSTGRES": str(database["NAME"])}


class Gate:
    """A point at which a request of the site waits until a test opens it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._reached, self._opened = (folder / f"{name}-{what}" for what in ("reached", "opened"))

    def stand(self) -> None:
        """Report that a request has reached the gate, and wait until it is open."""
        self._reached.touch()
        wait_until(self._opened.exists, f"{self._opened} is there")

    def wait_until_reached(self) -> None:
        """Wait until a request has reached the gate."""
        wait_until(self._reached.exists, f"{self._reached} is there")

    def open(self) -> None:
        """Open the gate for the request."""
        self._opened.touch()


class Demo:
    """A site with three workers.

    Args:
        folder: the folder of its files.
        database: an entry of Django's DATABASES for PostgreSQL; None: SQLite.
        settings: the site's settings module.
    """

    def __init__(self, folder: Path, database: dict[str, Any] | None, settings: str) -> None:
        self.folder = folder
        self._port, self._broker_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self._port}"
        self._environment = demo_environment(folder, database) | {
            "PYTHONPATH": python_path(SITE, ROOT),
            "DJANGO_SETTINGS_MODULE": settings,
            "FURNITURE_EVENTS_URL": f"http://127.0.0.1:{self._broker_port}",
            "FURNITURE_EVENTS_KEY": KEY,
            "FURNITURE_EVENTS_TOKEN_SECRET": TOKEN_SECRET,
            "GATES": str(folder),
            "BROKER_PID_FILE": str(folder / "broker.pid"),
        }
        self._shell = self._start("-c", SHELL, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.script(PREPARE)
        self.start_broker()
        self.start_relay()
        self.start_site()

    def revive(self) -> None:
        """Start each process again that has ended."""
        for process, start in (
            (self.broker.process, self.start_broker),
            (self.relay, self.start_relay),
            (self.site, self.start_site),
        ):
            if process.poll() is not None:
                start()

    def start_broker(self) -> None:
        """Start the broker, always on the same port and log."""
        self.broker = Server(
            self.folder,
            port=self._broker_port,
            event_log=f"sqlite:///{self.folder}/events.db",
            producer_keys=KEY,
            open_publish="off",
            cors_origins=self.url,
            jwt_secret=TOKEN_SECRET,
        )
        pid = str(self.broker.process.pid)
        (self.folder / "broker.pid").write_text(pid)  # for the button that stops the broker

    def start_relay(self) -> None:
        """Start the relay."""
        self.relay = self._start("-m", "django", "relay_furniture_events")

    def start_site(self) -> None:
        """Start the site, and wait until it answers."""
        options = f"--workers 3 --preload --bind 127.0.0.1:{self._port} --no-control-socket"
        self.site = self._start("-m", "gunicorn", *options.split(), "site_muebles.wsgi")
        wait_until(lambda: readiness(self.url, "/cuenta/login/") == 200, "the site answers")

    def script(self, code: str) -> str:
        """Run Python in the site's shell; return its output."""
        stdin, stdout = self._shell.stdin, self._shell.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(code).encode() + b"\n")
        stdin.flush()
        # If the shell has ended, this fails, and the file ``output`` says why.
        printed: str = json.loads(stdout.readline())
        return printed

    def start_script(self, code: str) -> subprocess.Popen[bytes]:
        """Start Python in the site, and do not wait for it."""
        return self._start("-c", f"import django\ndjango.setup()\n{code}")

    def rows(self) -> list[list[str]]:
        """Return the rows that the list must show, from the database."""
        rows: list[list[str]] = json.loads(self.script(ROWS))
        return rows

    def wait_until_published(self) -> None:
        """Wait until the broker has all committed events."""
        wait_until(lambda: "waiting=0" in self.script(STATUS), "no event waits in the outbox")

    def stop(self) -> None:
        """End all processes."""
        _end(self._shell)
        _end(self.site)
        _end(self.relay)
        assert self.broker.stop() == 0

    def _start(self, *arguments: str, **pipes: int) -> subprocess.Popen[bytes]:
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self._environment,
                **{"stdout": output, "stderr": output, **pipes},
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.communicate(timeout=TIMEOUT)  # closes its pipes, too
