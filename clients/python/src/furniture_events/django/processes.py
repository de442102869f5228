"""A group of processes with one output. If one of them ends, all are stopped. For POSIX."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Self

__all__ = ["Processes"]

STOP_SECONDS = 10
"""How long a process may take to stop before it is killed."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Processes:
    """A group of processes. Use it in a ``with`` block. When the block ends, all have ended.

    SIGINT, SIGTERM and SIGHUP end its waits. So it must be used in the main thread.

    Args:
        write: prints a line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._running: list[_Process] = []
        # The names of ended processes, and None for a signal, whose handler may only use this kind
        # of queue.
        self._ends: SimpleQueue[str | None] = SimpleQueue()
        self._first_end: list[str | None] = []

    def __enter__(self) -> Self:
        # Until the end of the block: a second Ctrl-C must not leave a process.
        self._before = {
            number: signal.signal(number, lambda *_: self._ends.put(None)) for number in _SIGNALS
        }
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a process. It does not get the terminal's Ctrl-C, because the group stops it.

        Args:
            name: the name before each line of its output.
            command: the program and its arguments.
            environment: more environment variables.
        """
        self._running.append(
            _Process(
                command,
                environment,
                lambda line: self._write(f"{name:7}| {line}"),
                lambda: self._ends.put(name),
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
        self._is_over(None)
        return self._first_end[0]

    def _is_over(self, seconds: float | None) -> bool:
        if not self._first_end:
            with suppress(Empty):
                self._first_end.append(self._ends.get(timeout=seconds))
        return bool(self._first_end)


class _Process:
    """A process, and its children. They are a process group, so that no child is left."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        write: Callable[[str], object],
        on_end: Callable[[], None],
    ) -> None:
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
                self._write(line.rstrip("\n"))

    def _wait(self) -> None:
        self._process.wait()
        with suppress(ProcessLookupError, PermissionError):  # macOS refuses it for a dead group
            os.killpg(self._process.pid, signal.SIGKILL)  # its children
        self._on_end()

    def stop(self) -> None:
        """Stop it, and wait until it has ended and its output is printed."""
        self._process.terminate()
        self._waiter.join(STOP_SECONDS)
        self._process.kill()
        self._waiter.join()
        self._reader.join()
