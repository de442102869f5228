"""``make cluster`` starts a Valkey and two servers, and one signal stops all of them."""
# ruff: noqa: ASYNC220 - a test may block

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.conftest import load_vectors
from tests.support.raw import plain
from tests.support.server import ROOT, TIMEOUT, free_ports, readiness, wait_until
from tests.support.transports import PRODUCERS

EVENT = load_vectors("events.json")[0]["publish"]


async def test_two_servers_share_a_log_and_end_together(tmp_path: Path) -> None:
    """A consumer of one server gets an event that was published on the other."""
    valkey, *ports = free_ports(3)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "examples/cluster.py")],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if name[:4] != "SIO_"},
            "CLUSTER_VALKEY_PORT": str(valkey),
            "CLUSTER_PORTS": " ".join(map(str, ports)),
            "SIO_HOST": "127.0.0.1",
            "SIO_OPEN_PUBLISH": "loopback",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        wait_until(lambda: {readiness(url) for url in urls} == {200}, "both servers are ready")
        async with (
            plain(f"ws://127.0.0.1:{ports[1]}/ws") as consumer,
            PRODUCERS["http"](urls[0]) as publish,
        ):
            receipt = await publish(EVENT)
            assert (await consumer.receive())["offset"] == receipt["offset"]
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, output
    assert output.count("stopped") == 2
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", valkey)) != 0
