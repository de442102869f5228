"""A primary, a replica, and three sentinels that watch them: real Valkey servers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import redis

from tests.support.server import TIMEOUT, free_ports, wait_until
from tests.support.valkey import BINARY, Valkey

SERVICE = "furniture"
SENTINELS = 3
USER, PASSWORD = "events", "hunter2"
"""The server's user in Valkey. It has only the documented rights."""

CONFIGURATION = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {service} 127.0.0.1 {primary} 2
sentinel down-after-milliseconds {service} 300
sentinel failover-timeout {service} 3000
"""


class Watched:
    """The servers and their sentinels. After ``fail_over`` the replica is the primary."""

    def __init__(self, folder: Path) -> None:
        self.primary = Valkey(folder / "primary", appendonly="yes")
        self.replica = Valkey(folder / "replica", appendonly="yes")
        self._folder = folder
        self._ports = free_ports(SENTINELS)
        self._sentinels: list[subprocess.Popen[bytes]] = []

    def url(self, *first: str) -> str:
        """Return the event log's URL. These places are asked before the sentinels."""
        places = ",".join([*first, *(f"127.0.0.1:{port}" for port in self._ports)])
        return f"redis+sentinel://{USER}:{PASSWORD}@{places}/{SERVICE}/0"

    def start(self) -> None:
        """Start all of them, and wait until the sentinels know each other and the replica."""
        self.primary.start()
        self.replica.start()
        with self.replica.client as client:
            client.replicaof("127.0.0.1", self.primary.port)
        for server in (self.primary, self.replica):
            server.add_user(USER, PASSWORD, "role")
        for number, port in enumerate(self._ports):
            file = self._folder / f"sentinel-{number}.conf"
            text = CONFIGURATION.format(
                port=port, folder=self._folder, service=SERVICE, primary=self.primary.port
            )
            file.write_text(text)
            with (self._folder / f"sentinel-{number}.log").open("wb") as log:
                command = [BINARY, str(file), "--sentinel"]
                self._sentinels.append(subprocess.Popen(command, stdout=log, stderr=log))
        wait_until(self._know_all, "the sentinels know each other and the replica")

    def _know_all(self) -> bool:
        try:
            for port in self._ports:
                with redis.Redis(port=port, decode_responses=True) as client:
                    known = client.sentinel_masters()[SERVICE]
                if (known["num-other-sentinels"], known["num-slaves"]) != (SENTINELS - 1, 1):
                    return False
        except (redis.RedisError, KeyError):
            return False
        return True

    def replicated(self) -> bool:
        """Return whether the replica has all that the primary has."""
        with self.primary.client as client:
            state = client.info("replication")
        replica = state.get("slave0")
        return replica is not None and replica["offset"] == state["master_repl_offset"]

    def fail_over(self) -> None:
        """Kill the primary when the replica has all of its data."""
        wait_until(self.replicated, "the replica has all data")
        self.primary.kill()

    def stop(self) -> None:
        """Stop all of them."""
        for process in self._sentinels:
            process.terminate()
            process.wait(TIMEOUT)
        self.primary.stop()
        self.replica.stop()
