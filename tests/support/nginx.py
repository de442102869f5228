"""A real nginx with the project's example configuration."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server import ROOT, TIMEOUT, Server, wait_until


@contextmanager
def nginx(folder: Path, servers: list[Server], changes: dict[str, str]) -> Iterator[str]:
    """Run nginx in front of two servers; yield its URL.

    Args:
        folder: the folder for its files.
        servers: the servers that replace those of the configuration.
        changes: more texts to replace in the configuration.
    """
    text = (ROOT / "examples" / "nginx.conf").read_text()
    ports = {f":{8765 + number} ": f":{it.port} " for number, it in enumerate(servers)}
    for old, new in {"listen 8080": "listen 127.0.0.1:{port}", **ports, **changes}.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with configured(folder, text) as url:
        yield url


@contextmanager
def configured(folder: Path, text: str) -> Iterator[str]:
    """Run nginx with a configuration; yield its URL.

    Args:
        folder: the folder for its files.
        text: the configuration, with ``{port}`` in place of the port.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.fail("nginx is needed for the tests behind a proxy: install it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(text.replace("{port}", str(port)))
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=log)
    try:
        wait_until(lambda: listens(process, port, folder / "nginx.log"), "nginx listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def listens(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    """Return whether the process listens; fail with its log if it has ended."""
    assert process.poll() is None, log.read_text()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
