"""The versions of the peers and of their clients. All are pinned, so the files name them."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent


def versions(*names: str) -> dict[str, str]:
    """Return the versions of peers, clients and python-socketio, in this order.

    Raises:
        KeyError: there is no such package.
    """
    found = {"python-socketio": version("python-socketio")}
    for folder in ("peers", "consumers"):
        found |= json.loads((HERE / folder / "package.json").read_text())["dependencies"]
    for line in (HERE / "requirements.txt").read_text().splitlines():
        name, _, number = line.partition("==")
        found[name.partition("[")[0]] = number
    return {name: found[name] for name in names}
