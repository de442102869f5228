"""Programs in processes of their own, without a second of imports for each of them.

The tests start a thousand servers, and hundreds of processes of a Django site. A new Python imports
their packages for more than a second. So one process imports them once, and forks for each program.
The rest is the same code as that of ``python -m sio_server``, which ``test_makefile.py``, the chaos
tests and the siege start.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

MAX_MESSAGE_BYTES = 100_000
ROOT = Path(__file__).parents[2]


class _Stem:
    """The process that forks. It has imported a module, whose ``main`` runs in its forks."""

    def __init__(self, module: str) -> None:
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.support.forks", str(its.fileno()), module],
            cwd=ROOT,
            pass_fds=[its.fileno()],
        )
        its.close()

    def ask(self, *files: int, **order: Any) -> Any:
        """Send an order with open files; return the answer."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(order).encode()], files)
            answer = self._socket.recv(MAX_MESSAGE_BYTES)
        assert answer, "the process that forks has ended"
        return json.loads(answer)


@cache
def _stem(module: str) -> _Stem:
    return _Stem(module)


class ForkedProcess:
    """The process of a program, with the interface of ``subprocess.Popen``.

    Args:
        module: the module whose ``main`` is the program.
        folder: its working directory.
        environment: all its environment variables.
        max_open_files: the limit of open files that it cannot raise.
        arguments: its command line.
        has_input: whether it reads what ``input`` is written.

    Attributes:
        pid: its identifier.
        input: its standard input, unbuffered; None if it has none.
        output: its output and its error output.
        returncode: its exit status, or the negative number of the signal that has killed it; None
            as long as it runs, and until ``poll`` or ``wait``.
    """

    def __init__(
        self,
        module: str,
        folder: Path,
        environment: Mapping[str, str],
        max_open_files: int | None = None,
        arguments: Sequence[str] = (),
        *,
        has_input: bool = False,
    ) -> None:
        readable, writable = os.pipe()
        its = [writable]
        self.output = os.fdopen(readable)
        self.input = None
        if has_input:
            readable, writable = os.pipe()
            its.append(readable)
            self.input = os.fdopen(writable, "wb", buffering=0)
        self._module, self._stem = module, _stem(module)
        self.pid: int = self._stem.ask(
            *its,
            folder=str(folder),
            environment=dict(environment),
            max_open_files=max_open_files,
            arguments=list(arguments),
        )
        for it in its:
            os.close(it)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status; None if the process runs."""
        if self.returncode is None:
            self.returncode = self._stem.ask(ended=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the end; return the exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self._module, timeout)
            time.sleep(0.005)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _ended(process: int) -> int | None:
    """Return the exit status of a process that this one has forked; None if it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _fork_on_orders(orders: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Fork for each order. Return the order, and the output and the input, in the new process."""
    while True:
        message, files, _, _ = socket.recv_fds(orders, MAX_MESSAGE_BYTES, 2)
        if not message:
            return None
        order = json.loads(message)
        if "ended" in order:
            answer = _ended(order["ended"])
        else:
            answer = os.fork()
            if answer == 0:
                return order, files
            for it in files:
                os.close(it)
        orders.send(json.dumps(answer).encode())


def _main() -> None:
    module = importlib.import_module(sys.argv[2])
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        forked = _fork_on_orders(orders)
    if forked is None:
        return
    order, (output, *inputs) = forked
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    for it in inputs:
        os.dup2(it, sys.stdin.fileno())
    for it in (output, *inputs):
        os.close(it)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    if order["max_open_files"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (order["max_open_files"],) * 2)
    sys.argv = [sys.argv[2], *order["arguments"]]
    sys.exit(module.main())


if __name__ == "__main__":
    _main()
