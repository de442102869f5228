"""The balancers of ``deploy/``: a real nginx and a real Caddy with the files that users copy.

Only what every user changes is changed: the name, the ports, the certificate, and the folders of
files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import nginx
from tests.support.certificates import Files
from tests.support.server import ROOT, TIMEOUT, free_ports, wait_until

NAME = "furniture.example.com"
LETS_ENCRYPT = f"/etc/letsencrypt/live/{NAME}"
NGINX = """
pid {folder}/nginx.pid;
user root;
worker_processes 2;
events {{}}
http {{
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/temporary;
{site}
}}
"""


def replaced(text: str, changes: dict[str, str]) -> str:
    """Replace each of these texts, which must occur once."""
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        text = text.replace(old, new)
    return text


def nginx_site(ports: Sequence[int], files: Files, folder: Path, plain_port: int) -> str:
    """Return nginx's file for these servers, with ``{port}`` in place of the port."""
    return replaced(
        (ROOT / "deploy/nginx/furniture-events.conf").read_text().replace(NAME, "127.0.0.1"),
        {
            "listen 80;": f"listen 127.0.0.1:{plain_port};",
            "listen 443 ssl": "listen 127.0.0.1:{port} ssl",
            ":8765 ": f":{ports[0]} ",
            ":8766 ": f":{ports[1]} ",
            f"{LETS_ENCRYPT.replace(NAME, '127.0.0.1')}/fullchain.pem": str(files.certificate),
            f"{LETS_ENCRYPT.replace(NAME, '127.0.0.1')}/privkey.pem": str(files.key),
            "/var/log/nginx/furniture-events.log": f"{folder}/access.log",
            "/var/log/nginx/error.log": f"{folder}/error.log",
        },
    )


@contextmanager
def nginx_in_front(folder: Path, ports: Sequence[int], files: Files) -> Iterator[str]:
    """Run nginx in front of two servers on these ports; yield its address."""
    site = nginx_site(ports, files, folder, *free_ports(1))
    with nginx.configured(folder, NGINX.format(folder=folder, site=site)) as url:
        yield url.replace("http:", "https:")


@contextmanager
def caddy_in_front(folder: Path, ports: Sequence[int], files: Files) -> Iterator[str]:
    """Run Caddy in front of two servers on these ports; yield its address."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("Caddy is missing: make caddy")
    (port,) = free_ports(1)
    text = replaced(
        (ROOT / "deploy/caddy/Caddyfile").read_text(),
        {
            f"{NAME} {{": f"https://127.0.0.1:{port} {{\n\ttls {files.certificate} {files.key}",
            "127.0.0.1:8765 127.0.0.1:8766": f"127.0.0.1:{ports[0]} 127.0.0.1:{ports[1]}",
            "{\n\t# A line": "{\n\tadmin off\n\tauto_https disable_redirects\n\t# A line",
        },
    )
    (folder / "Caddyfile").write_text(text)
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "run", "--config", str(folder / "Caddyfile")],
            stderr=log,
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
        )
    try:
        wait_until(lambda: nginx.listens(process, port, folder / "caddy.log"), "Caddy listens")
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(TIMEOUT)


IN_FRONT = {"nginx": nginx_in_front, "caddy": caddy_in_front}
