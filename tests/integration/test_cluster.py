"""``make cluster``: one URL for two servers, which outlives the end of one of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from sio_server.commands.client import Client, ServerError
from sio_server.commands.program import program
from sio_server.commands.tail import follow
from tests.conftest import load_vectors
from tests.support.processes import descendants, output_until, runs
from tests.support.server import ROOT, TIMEOUT, free_ports, readiness, wait_until

EVENT = load_vectors("events.json")[0]["publish"]


class Cluster:
    """The running program."""

    def __init__(self, folder: Path) -> None:
        port, valkey, *nodes = free_ports(4)
        self.url = f"http://127.0.0.1:{port}"
        self.nodes = [f"http://127.0.0.1:{it}" for it in nodes]
        self.key = folder / "var/cluster/producer-key"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name[:4] != "SIO_"},
            "CLUSTER_PORT": str(port),
            "CLUSTER_VALKEY_PORT": str(valkey),
            "CLUSTER_NODE_PORTS": " ".join(map(str, nodes)),
            "SIO_HOST": "127.0.0.1",
            "SIO_OPEN_PUBLISH": "loopback",
        }
        self.command = [sys.executable, str(ROOT / "examples/cluster.py")]
        self.folder = folder
        self.process = subprocess.Popen(
            self.command,
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = output_until(self.process, "Ctrl-C")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run the program. When nothing reads its output any more, it ends, and no process is left."""
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    yield running
    started = descendants(running.process.pid)
    assert len(started) >= 4
    assert running.process.stdout is not None
    running.process.stdout.close()
    try:
        assert running.process.wait(TIMEOUT) == 0
    finally:
        running.process.terminate()
    wait_until(lambda: not any(map(runs, started)), "all have ended")


def test_the_printed_urls_answer(cluster: Cluster) -> None:
    """They are those of nginx and of both nodes."""
    for url in (cluster.url, *cluster.nodes):
        assert f"{url}/" in cluster.output
        assert readiness(url, "/") == 200


def test_a_client_with_one_url_sees_no_hole_when_its_server_is_killed(cluster: Cluster) -> None:
    """It continues on the other node. The killed node starts again."""
    client = Client(cluster.url, cluster.key.read_text())
    said: list[str] = []
    events = follow(client, (), None, said.append, everything=True)
    published = []

    def publish() -> None:
        arguments = ["publish", "--url", cluster.url, "--credential-file", str(cluster.key)]
        result = CliRunner().invoke(program, [*arguments, "--json"], json.dumps(EVENT))
        assert result.exit_code == 0, result.output
        published.append(json.loads(result.stdout)["offset"])

    seen = []
    for number, url in enumerate(cluster.nodes, start=1):
        publish()
        seen.append(next(events)["offset"])
        (kill,) = re.findall(r"kill -9 .*\.pid\)", cluster.output)
        subprocess.run(
            ["sh", "-ec", kill.replace("node-1", f"node-{number}")],
            cwd=cluster.folder,
            check=True,
        )
        publish()
        seen.append(next(events)["offset"])
        output_until(cluster.process, f"node {number} | it has ended, and starts again")
        wait_until(lambda url=url: readiness(url) == 200, "the killed node is ready again")
    assert seen == published
    assert not any("missing" in it for it in said)


def test_a_second_start_says_what_is_wrong(cluster: Cluster) -> None:
    """It says it before it starts anything."""
    second = subprocess.run(
        cluster.command,
        cwd=cluster.folder,
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr == ""
    (line,) = second.stdout.splitlines()
    assert line.startswith("Another program listens on port ")
    assert "CLUSTER_PORT" in line


def test_a_stranger_may_not_publish_through_nginx(cluster: Cluster) -> None:
    """Programs on this machine may publish to a node, and the key is in a file of its user."""
    with pytest.raises(ServerError, match="unauthorized"):
        Client(cluster.url).call("/api/events", EVENT)
    Client(cluster.nodes[0]).call("/api/events", EVENT)
    assert cluster.key.stat().st_mode & 0o077 == 0
