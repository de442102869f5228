"""A real Prometheus with the project's configuration and alert rules."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ROOT, TIMEOUT, fetch, free_ports, readiness, wait_until

FOLDER = ROOT / "deploy" / "prometheus"


def program(name: str) -> str:
    """Return the path of ``prometheus`` or ``promtool``; skip the test if it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing: make prometheus")
    return found


def promtool(*arguments: str, text: str = "") -> str:
    """Run promtool; fail if it does. Return its output."""
    done = subprocess.run(
        [program("promtool"), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression now; fail if Prometheus cannot read it."""
        query = urllib.parse.urlencode({"query": expression})
        series: list[dict[str, Any]] = json.loads(self.get(f"/api/v1/query?{query}"))["data"][
            "result"
        ]
        return series

    def get(self, path: str) -> str:
        """Return an answer of its API; fail with its words if it is an error."""
        answer = fetch(self.url + path)
        assert answer is not None, f"{path}: no answer"
        status, text = answer[0], answer[1].decode()
        assert status == 200, f"{path}: {text}"
        return text

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """Wait until an expression has a series; return all of them."""
        found: list[dict[str, Any]] = wait_until(lambda: self.query(expression), expression)
        return found


@contextmanager
def prometheus(folder: Path, targets: Mapping[int, str]) -> Iterator[Prometheus]:
    """Run Prometheus with the project's configuration.

    Args:
        folder: the folder for its files.
        targets: they replace those of the configuration on these ports.
    """
    command = program("prometheus")
    shutil.copytree(FOLDER, folder / "etc")
    configuration = folder / "etc" / "prometheus.yml"
    text = configuration.read_text()
    for port, target in targets.items():
        assert text.count(f"localhost:{port}") == 1
        text = text.replace(f"localhost:{port}", target)
    assert text.count("interval: 15s") == 2
    configuration.write_text(text.replace("interval: 15s", "interval: 250ms"))
    (port,) = free_ports(1)
    options = {
        "config.file": configuration,
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "warn",
    }
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [command, *(f"--{name}={value}" for name, value in options.items())], stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: readiness(url, "/-/ready") == 200, "Prometheus is ready")
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait(TIMEOUT)
