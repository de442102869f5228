"""A real nginx, with the configuration that the project hands out."""

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
    """Run nginx before two servers; yield its URL.

    Args:
        folder: where it writes to.
        servers: they stand in the place of the configuration's own.
        changes: what is to be something else in the configuration.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.fail("nginx is needed for the tests of many nodes: install it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = (ROOT / "examples" / "nginx.conf").read_text()
    ports = {f":{8765 + number} ": f":{it.port} " for number, it in enumerate(servers)}
    for was, becomes in {"listen 8080": f"listen 127.0.0.1:{port}", **ports, **changes}.items():
        assert text.count(was) == 1, was
        text = text.replace(was, becomes)
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=log)
    try:
        wait_until(lambda: listens(process, port, folder), "nginx listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def listens(process: subprocess.Popen[bytes], port: int, folder: Path) -> bool:
    """Tell whether it does; fail where it has ended."""
    assert process.poll() is None, (folder / "nginx.log").read_text()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
