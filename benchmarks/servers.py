"""The servers that are measured, each in a process of its own on the first core."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVER_CORE, LOAD_CORE = 0, 1
FILES = 65_536
_TICKS = os.sysconf("SC_CLK_TCK")


class Running:
    """A server process under measurement."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used, in user and system mode."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


def pin(core: int) -> None:
    """Keep this process, or a child before it starts, on one core, with files enough."""
    os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


@contextmanager
def ours(folder: Path, **settings: object) -> Iterator[Running]:
    """Run this server with its defaults, but for the bound on connections of one address."""
    chosen = {
        "host": "127.0.0.1",
        "port": 0,
        "open_publish": "loopback",
        "log_format": "json",
        "max_connections_per_address": 0,
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if name[:4] != "SIO_"}
    environment |= {f"SIO_{name.upper()}": str(value) for name, value in chosen.items()}
    environment["PYTHONPATH"] = str(ROOT)
    with _running([sys.executable, "-m", "sio_server"], folder, environment) as running:
        yield running


@contextmanager
def node(folder: Path) -> Iterator[Running]:
    """Run Node.js socket.io."""
    command = ["node", str(ROOT / "benchmarks/peer.mjs")]
    with _running(command, folder, dict(os.environ)) as running:
        yield running


@contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[Running]:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: pin(SERVER_CORE),  # noqa: PLW1509 - there are no threads
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            told = json.loads(line) if line.startswith("{") else {}
            if told.get("event") == "listening":
                break
        else:
            raise SystemExit(f"{command[0]} did not start")
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        yield Running(process, told["port"])
    finally:
        process.terminate()
        process.wait(30)
    drain.wait(30)
