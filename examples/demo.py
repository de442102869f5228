"""A Django site that stays live, on this machine: ``make demo``. Ctrl-C stops all of it.

The site is in ``django_catalog/``, its database and the broker's log in ``var/demo``.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

from processes import Processes

ROOT = Path(__file__).parents[1]
SITE = ROOT / "examples/django_catalog"
DATA = Path(os.environ.get("DEMO_DATA", "var/demo")).resolve()
PORT = int(os.environ.get("DEMO_PORT", "8000"))
BROKER_PORT = int(os.environ.get("DEMO_BROKER_PORT", "8765"))
KEY = secrets.token_urlsafe(24)  # of this run: the broker and the site know it, nobody else

BROKER_SETTINGS = {
    "SIO_HOST": "127.0.0.1",
    "SIO_PORT": str(BROKER_PORT),
    "SIO_EVENT_LOG": f"sqlite:///{DATA / 'events.db'}",
    "SIO_PRODUCER_KEYS": KEY,
    "SIO_OPEN_PUBLISH": "off",
    "SIO_CORS_ORIGINS": f"http://127.0.0.1:{PORT},http://localhost:{PORT}",
}
SITE_SETTINGS = {
    "CATALOG_SQLITE": str(DATA / "catalog.sqlite3"),
    "FURNITURE_EVENTS_URL": f"http://127.0.0.1:{BROKER_PORT}",
    "FURNITURE_EVENTS_KEY": KEY,
}
MANAGE = (sys.executable, str(SITE / "manage.py"))
GUNICORN = (
    *f"-m gunicorn --workers 3 --bind 127.0.0.1:{PORT} --no-control-socket".split(),
    *("--chdir", str(SITE), "site_muebles.wsgi"),
)

WELCOME = f"""
  The site    http://127.0.0.1:{PORT}/        sign in as ana, password ana; open it in two windows
  The admin   http://127.0.0.1:{PORT}/admin/  admin, password admin
  The broker  http://127.0.0.1:{BROKER_PORT}/        every event as it comes
  Ctrl-C stops it all.
"""


def prepare() -> bool:
    """Make the tables, and something to see; tell whether that worked."""
    return all(
        subprocess.call(  # noqa: S603 - our own
            [*MANAGE, *command],
            env={**os.environ, **SITE_SETTINGS},
            start_new_session=True,  # Ctrl-C is ours, as it is for what runs later
        )
        == 0
        for command in (["migrate", "--verbosity", "0"], ["seed"])
    )


async def listening(port: int) -> None:
    """Wait until somebody listens there."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


async def main() -> int:
    """Run broker, relay and site until one of them ends, or until we are asked to stop."""
    processes = Processes()
    await processes.start(
        *("broker", sys.executable, "-m", "sio_server"), PYTHONPATH=str(ROOT), **BROKER_SETTINGS
    )
    if await processes.until(listening(BROKER_PORT)):
        await processes.start("relay", *MANAGE, "relay_furniture_events", **SITE_SETTINGS)
        await processes.start("site", sys.executable, *GUNICORN, **SITE_SETTINGS)
        if await processes.until(listening(PORT)):
            print(WELCOME, flush=True)
    return await processes.until_end()


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    try:
        sys.exit(asyncio.run(main()) if prepare() else 1)
    except KeyboardInterrupt:  # what runs later takes it by itself
        sys.exit(128 + signal.SIGINT)
