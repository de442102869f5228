"""A group of processes. If one ends, or at Ctrl-C, all are stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine


class Processes:
    """A group of processes. Create it in a running event loop: it handles SIGINT and SIGTERM."""

    def __init__(self) -> None:
        self._started: list[asyncio.subprocess.Process] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._ended: list[str] = []
        self._over = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._over.set)

    async def start(self, name: str, *command: str, **environment: str) -> None:
        """Start a process, and print its output with its name.

        It does not get the terminal's Ctrl-C, because ``until_end`` stops the processes in order.

        Args:
            name: the name for the output.
            command: the program and its arguments.
            environment: more environment variables.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

        async def print_output() -> None:
            assert process.stdout is not None
            async for line in process.stdout:
                print(f"{name:7}| {line.decode(errors='replace')}", end="", flush=True)

        async def wait() -> None:
            await process.wait()
            self._ended.append(name)
            self._over.set()

        self._started.append(process)
        self._tasks += [asyncio.create_task(print_output()), asyncio.create_task(wait())]

    async def until(self, condition: Coroutine[None, None, None]) -> bool:
        """Wait for a condition.

        Returns:
            False if a process has ended, or if a signal has asked to stop.
        """
        waits = [asyncio.create_task(condition), asyncio.create_task(self._over.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        return not self._over.is_set()

    async def until_end(self) -> int:
        """Wait until a process ends or a signal asks to stop; stop all; return the exit status."""
        await self._over.wait()
        ended = " and ".join(self._ended)
        for process in reversed(self._started):
            if process.returncode is None:
                process.terminate()
            await process.wait()
        await asyncio.gather(*self._tasks)
        if ended:
            print(f"{ended} has ended, so all other processes were stopped", flush=True)
        return 1 if ended else 0
