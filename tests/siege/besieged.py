"""The server under siege, with its event log: a real process, and what it costs the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.siege.attack import Files
from tests.support.server import wait_until
from tests.support.tokens import SECRET
from tests.support.valkey import Valkey

KEY = "siege-producer-key-0123456789"
"""The healthy publisher's key."""

SETTINGS = {
    "HOST": "127.0.0.1",
    "PORT": "0",
    "PRODUCER_KEYS": KEY,
    "JWT_SECRET": SECRET,  # the healthy consumers have tokens
    "LOG_FORMAT": "json",
    # Deadlines must pass within an attack, and a polling client that never comes back must be gone
    # before the end of a rest.
    "CONNECT_TIMEOUT": "2",
    "SLOW_SECONDS": "4",
    "PING_INTERVAL": "2",
    "PING_TIMEOUT": "3",
    "DRAIN_SECONDS": "0",
}
"""The settings that differ from the defaults. No limit is among them."""

VALKEY_MEMORY = "150mb"
"""The memory of a small Valkey. It refuses writes beyond it."""

TRACEBACK = "Traceback (most recent call last)"
ANSWER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server holds at one moment, in bytes.

    Attributes:
        memory: resident memory of the server's process.
        disk: the files of the event log, or the memory of Valkey.
        log: what the server has printed.
    """

    memory: int
    disk: int
    log: int


class Besieged:
    """A running server.

    Args:
        root: the checkout whose server is run.
        folder: its working directory.
        url: the URL of its event log.
        files: its limit of open files; None: as high as the machine allows.
    """

    def __init__(self, root: Path, folder: Path, url: str, files: Files | None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._output = folder / "output"
        environment = {name: value for name, value in os.environ.items() if name[:4] != "SIO_"}
        environment |= {f"SIO_{name}": value for name, value in SETTINGS.items()}
        environment |= {"SIO_EVENT_LOG": url, "PYTHONPATH": str(root)}
        hard = "$(ulimit -H -n)" if files is None or files.hard is None else str(files.hard)
        soft = hard if files is None else str(files.soft)
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    "sh",
                    "-c",
                    f'ulimit -S -n {soft} && ulimit -H -n {hard} && exec "$@"',
                    "sh",
                    sys.executable,
                    "-m",
                    "sio_server",
                ],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=output,
            )
        self._searched = 0  # bytes of the output in which tracebacks were counted
        try:
            self.port = int(wait_until(self._find_port, "the server listens"))
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def _find_port(self) -> int | None:
        for line in self._output.read_text().splitlines(keepends=True):
            entry = json.loads(line) if line.startswith("{") and line.endswith("\n") else {}
            if "listening" in (entry.get("message"), entry.get("event")):
                return int(entry["port"])
        if self.process.poll() is not None:
            raise AssertionError(f"the server has ended: {self._output.read_text()[-2000:]}")
        return None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def memory(self, name: str = "VmRSS:") -> int:
        """Return the resident memory, or with ``VmHWM:`` its maximum, in bytes; 0 after its end."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        return next((int(it.split()[1]) << 10 for it in status.splitlines() if name in it), 0)

    def forget_peak(self) -> None:
        """Reset the maximum of the resident memory; see proc(5)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def log_bytes(self) -> int:
        """Return how many bytes the server has printed."""
        return self._output.stat().st_size

    def new_lines(self) -> Iterator[str]:
        """Return the lines that it has printed since the last call."""
        with self._output.open("rb") as output:
            output.seek(self._searched)
            for line in output:
                self._searched += len(line)
                yield line.decode(errors="replace")

    def request(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the server as a producer; return the status and the decoded answer.

        Raises:
            OSError: there is no answer.
        """
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, None

    def health(self) -> int | None:
        """Return the status of ``/healthz``; None if there is no answer."""
        try:
            return self.request("/healthz")[0]
        except OSError:
            return None

    def stop(self) -> int:
        """Let the server end; kill it if it does not. Return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Storage:
    """The storage of one event log.

    Attributes:
        url: the URL of the event log.
    """

    url: str

    def used_bytes(self) -> int:
        """Return how much the event log takes."""
        raise NotImplementedError


class SqliteStorage(Storage):
    """A file, with its write-ahead log."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "events.db"
        self.url = f"sqlite:///{self._file}"

    def used_bytes(self) -> int:
        """Return the size of the files."""
        return sum(it.stat().st_size for it in self._file.parent.glob(f"{self._file.name}*"))


class ValkeyStorage(Storage):
    """A Valkey with little memory."""

    def __init__(self, valkey: Valkey) -> None:
        self._client = valkey.client
        self.url = valkey.url

    def used_bytes(self) -> int:
        """Return the memory that Valkey uses."""
        return int(self._client.info("memory")["used_memory"])


@contextmanager
def storage(name: str, folder: Path) -> Iterator[Storage]:
    """Provide new storage for the event log ``sqlite`` or ``valkey``."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "sqlite":
        yield SqliteStorage(folder)
        return
    valkey = Valkey(folder, maxmemory=VALKEY_MEMORY)
    valkey.start()
    try:
        yield ValkeyStorage(valkey)
    finally:
        valkey.stop()
