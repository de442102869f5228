"""A group of processes with one output. If one of them ends, all are stopped. For POSIX.

``manage.py furniture_dev`` uses it, and so do ``make demo`` and ``make cluster``.
"""

import os
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Self

from furniture_events.django.guard import STOP_SECONDS, Guard

__all__ = ["Processes", "listens", "port_in_use"]

STDOUT = 1

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Processes:
    """A group of processes. Use it in a ``with`` block. When the block ends, all have ended.

    If this program dies before, as by ``kill -9``, a guard stops them.

    SIGINT, SIGTERM and SIGHUP end its waits, and so does the end of the terminal, or of the program
    that reads the output. So it must be used in the main thread.

    Args:
        write: prints a line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._print = write
        self._running: list[_Process] = []
        # The ended processes, and None for a signal, whose handler may only use this kind of queue.
        self._ends: SimpleQueue[_Process | None] = SimpleQueue()
        self._first_end: list[str | None] = []

    def __enter__(self) -> Self:
        # Until the end of the block: a second Ctrl-C must not leave a process.
        self._before = {
            number: signal.signal(number, lambda *_: self._ends.put(None)) for number in _SIGNALS
        }
        self._guard = Guard()
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.stop()
        self._guard.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        again: bool = False,
    ) -> None:
        """Start a process. It does not get the terminal's Ctrl-C, because the group stops it.

        Args:
            name: the name before each line of its output.
            command: the program and its arguments.
            environment: more environment variables.
            again: start it again if it is stopped or killed. The group ends only if it fails.
        """
        self._running.append(
            _Process(
                name,
                command,
                environment,
                self._write,
                self._ends.put,
                guard=self._guard,
                again=again,
            )
        )

    def until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition.

        Returns:
            False if a process has ended, or if a signal came.
        """
        while not self._is_over(0.1):
            if condition():
                return True
        return False

    def until_end(self) -> str | None:
        """Wait until a process ends, and return its name; None if a signal came before."""
        while not self._is_over(1):
            pass
        return self._first_end[0]

    def _is_over(self, seconds: float) -> bool:
        with suppress(Empty):
            while not self._first_end:
                if _output_is_closed():
                    self._ends.put(None)
                ended = self._ends.get(timeout=seconds)
                if ended is not None and ended.may_start_again():
                    self._write(ended.name, "it has ended, and starts again")
                    self._running[self._running.index(ended)] = ended.start_again()
                else:
                    self._first_end.append(None if ended is None else ended.name)
        return bool(self._first_end)

    def _write(self, name: str, line: str) -> None:
        with suppress(OSError):  # the terminal is closed; the processes must still be stopped
            self._print(f"{name:7}| {line}")


def _output_is_closed() -> bool:
    """Tell whether standard output is a terminal that was closed, or a pipe without a reader.

    A closed terminal sends SIGHUP to one process only. That is make, if the terminal runs make.
    """
    output = select.poll()
    output.register(STDOUT, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in output.poll(0))


class _Process:
    """A process, and its children. They are a process group, so that no child is left."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        write: Callable[[str, str], object],
        on_end: "Callable[[_Process], object]",
        *,
        guard: Guard,
        again: bool,
    ) -> None:
        self.name = name
        self._again = again
        self.start_again = partial(
            _Process, name, command, environment, write, on_end, guard=guard, again=again
        )
        self._process = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        guard.add(self._process.pid)
        self._guard = guard
        self._write = write
        self._on_end = on_end
        self._reader = threading.Thread(target=self._read)
        self._waiter = threading.Thread(target=self._wait)
        self._reader.start()
        self._waiter.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type
        with self._process.stdout as lines:
            for line in lines:
                self._write(self.name, line.rstrip("\n"))

    def _wait(self) -> None:
        self._process.wait()
        with suppress(ProcessLookupError, PermissionError):  # macOS refuses it for a dead group
            os.killpg(self._process.pid, signal.SIGKILL)  # its children
        self._guard.discard(self._process.pid)
        self._on_end(self)

    def may_start_again(self) -> bool:
        """Tell whether it starts again: it was stopped or killed, and has not failed."""
        return self._again and self._process.returncode <= 0

    def stop(self) -> None:
        """Stop it, and wait until it has ended and its output is printed."""
        self._process.terminate()
        self._waiter.join(STOP_SECONDS)
        self._process.kill()
        self._waiter.join()
        self._reader.join()


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a program accepts connections on a port.

    Args:
        port: the port.
        host: an address of this machine, or its name.
    """
    try:
        socket.create_connection((host.strip("[]"), port), timeout=1).close()
    except OSError:
        return False
    return True


def port_in_use(*ports: int) -> int | None:
    """Return the first port on which a program of this machine listens; None if all are free."""
    return next(filter(listens, ports), None)
