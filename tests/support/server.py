"""The server as users run it: a process of its own, on a free port."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import secrets
from tests.support.forks import ROOT, ForkedProcess

PROGRAM = "tests.support.server_program"

TIMEOUT = 20
"""Seconds after which a missing event fails a test."""


def wait_until(condition: Callable[[], Any], what: str, timeout: float = TIMEOUT) -> Any:
    """Wait until a condition is true; return its value.

    Args:
        condition: called again and again.
        what: the expected state, for the message of the failure.
        timeout: seconds.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.01)
    return value


def free_ports(count: int) -> list[int]:
    """Return ports that no process uses."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


def readiness(url: str, path: str = "/readyz") -> int | None:
    """Return the status with which a server answers this path; None if no server answers."""
    answer = fetch(f"{url}{path}")
    return None if answer is None else answer[0]


def fetch(
    request: str | urllib.request.Request, timeout: float = TIMEOUT
) -> tuple[int, bytes] | None:
    """Return the status and the body of an answer, also of an error; None if no server answers."""
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return None


def python_path(*folders: Path) -> str:
    """Return a PYTHONPATH for other processes: these folders, then those of this process."""
    return os.pathsep.join(filter(None, [*map(str, folders), os.environ.get("PYTHONPATH")]))


class Server:
    """A running server.

    Args:
        folder: its working directory, with ``var/`` and ``.env``.
        max_file_bytes: the size at which writing a file fails, as on a full disk.
        max_open_files: the limit of open files that the server cannot raise.
        program: the module whose ``main`` runs the server.
        settings: settings in lower case, without their prefix.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_file_bytes: int | None = None,
        max_open_files: int | None = None,
        program: str = PROGRAM,
        **settings: object,
    ) -> None:
        chosen = {
            "host": "127.0.0.1",
            "port": 0,
            "event_log": "memory://",
            "open_publish": "loopback",
            "log_format": "json",
            "drain_seconds": 1,
            "rate_limit": 100_000,
            **settings,
        }
        self._first_secret = secrets.count()
        secrets.note_settings(chosen)
        environment = {name: value for name, value in os.environ.items() if name[:4] != "SIO_"}
        environment |= {f"SIO_{name.upper()}": str(value) for name, value in chosen.items()}
        environment["PYTHONPATH"] = str(ROOT)

        self.process = ForkedProcess(program, folder, environment, max_open_files)
        if max_file_bytes is not None:
            limits = (max_file_bytes, max_file_bytes)
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, limits)
        self.raw: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = self._wait_for_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.ws_url = f"ws://{self.host}"

    def _wait_for_port(self) -> int:
        def find() -> str | None:
            for line in list(self.raw):
                if found := re.search(r"\blistening\b.*\bport\b\D+(\d+)", line):
                    return found[1]
            self._check_alive()
            return None

        return int(wait_until(find, "the server listens"))

    def _check_alive(self) -> None:
        if self.process.poll() is not None and not self._reader.is_alive():
            raise AssertionError(f"the server has ended: {''.join(self.raw)}")

    def _read(self) -> None:
        with self.process.output as stream:
            self.raw.extend(stream)

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log lines so far, decoded."""
        return [json.loads(line) for line in list(self.raw) if line.startswith("{")]

    def wait_for_log(self, event: str, **fields: object) -> dict[str, Any]:
        """Wait for a log line of this event with these fields; return the first one."""

        def find() -> dict[str, Any] | None:
            for line in self.log:
                if line["message"] == event and fields.items() <= line.items():
                    return line
            self._check_alive()
            return None

        found: dict[str, Any] = wait_until(find, f"log line {event} {fields}")
        return found

    def wait_until_ready(self, status: int = 200) -> None:
        """Wait until ``/readyz`` answers this status."""
        wait_until(lambda: readiness(self.url) == status, f"/readyz answers {status}")

    def stop(self) -> int:
        """Send SIGTERM, as a supervisor does; return the exit status."""
        if self.process.poll() is None:
            answer = fetch(f"{self.url}/metrics", timeout=1)
            if answer is not None:
                secrets.check(answer[1].decode(), "/metrics", self._first_secret)
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(TIMEOUT)
        self._check_log()
        return status

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.process.kill()
        self.process.wait(TIMEOUT)
        self._check_log()

    def _check_log(self) -> None:
        self._reader.join(TIMEOUT)
        secrets.check("".join(self.raw), "the log", self._first_secret)


def start_expecting_failure(folder: Path, *arguments: str, **settings: object) -> str:
    """Run a server that cannot start; return its error output."""
    environment = {name: value for name, value in os.environ.items() if name[:4] != "SIO_"}
    environment |= {f"SIO_{name.upper()}": str(value) for name, value in settings.items()}
    environment["PYTHONPATH"] = str(ROOT)
    process = ForkedProcess(PROGRAM, folder, environment, arguments=arguments)
    with process.output as stream:
        output = stream.read()
    assert process.wait(TIMEOUT) == 1, output
    return output
