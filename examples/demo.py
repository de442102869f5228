"""Start a Django site with live pages on this machine: ``make demo``. Ctrl-C stops all of it.

The site is in ``django_catalog/``. Its database and the broker's log are in ``var/demo``.
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
OUTAGE_SECONDS = float(os.environ.get("DEMO_OUTAGE_SECONDS", "20"))
BROKER_PID_FILE = DATA / "broker.pid"
# New ones for each run; only the broker and the site know them.
KEY, TOKEN_SECRET = secrets.token_urlsafe(24), secrets.token_urlsafe(32)

BROKER_SETTINGS = {
    "SIO_HOST": "127.0.0.1",
    "SIO_PORT": str(BROKER_PORT),
    "SIO_EVENT_LOG": f"sqlite:///{DATA / 'events.db'}",
    "SIO_PRODUCER_KEYS": KEY,
    "SIO_JWT_SECRET": TOKEN_SECRET,
    "SIO_REQUIRE_AUTH": os.environ.get("DEMO_REQUIRE_AUTH", "false"),
    "SIO_OPEN_PUBLISH": "off",
    "SIO_CORS_ORIGINS": f"http://127.0.0.1:{PORT},http://localhost:{PORT}",
}
SITE_SETTINGS = {
    "CATALOG_SQLITE": str(DATA / "catalog.sqlite3"),
    "FURNITURE_EVENTS_URL": f"http://127.0.0.1:{BROKER_PORT}",
    "FURNITURE_EVENTS_KEY": KEY,
    "FURNITURE_EVENTS_TOKEN_SECRET": TOKEN_SECRET,
    "BROKER_PID_FILE": str(BROKER_PID_FILE),  # for the button that stops the broker
}
RESTARTING = (
    *(sys.executable, str(ROOT / "examples/restarting.py")),
    *(str(BROKER_PID_FILE), str(OUTAGE_SECONDS)),
)
MANAGE = (sys.executable, str(SITE / "manage.py"))
GUNICORN = (
    *f"-m gunicorn --workers 3 --preload --bind 127.0.0.1:{PORT} --no-control-socket".split(),
    *("--chdir", str(SITE), "site_muebles.wsgi"),
)

WELCOME = f"""
  Open   http://127.0.0.1:{PORT}/        in two windows; sign in as ana in one, as eva in the other
         http://127.0.0.1:{PORT}/admin/  as admin: changes there are published, too
         http://127.0.0.1:{BROKER_PORT}/        the broker: every event, with its milliseconds
         Passwords are the names.

  Try    Create, change and delete a piece. The other window shows it, and who did it.
         Press "Stop the broker": both windows go offline. Save a piece, the shop still works.
         After {OUTAGE_SECONDS:g} s the broker is back, and both windows have everything.

  Ctrl-C stops all of it.
"""


def prepare() -> bool:
    """Create the tables and some example pieces; return whether that worked."""
    return all(
        subprocess.call(  # noqa: S603 - our own commands
            [*MANAGE, *command],
            env={**os.environ, **SITE_SETTINGS},
            start_new_session=True,  # only this process gets Ctrl-C, as for the processes below
        )
        == 0
        for command in (["migrate", "--verbosity", "0"], ["seed"])
    )


async def listening(port: int) -> None:
    """Wait until a server listens on this port."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


async def main() -> int:
    """Run broker, relay and site until one of them ends, or until a signal asks to stop."""
    processes = Processes()
    await processes.start(
        *("broker", *RESTARTING, sys.executable, "-m", "sio_server"),
        PYTHONPATH=str(ROOT),
        **BROKER_SETTINGS,
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
    except KeyboardInterrupt:  # during prepare(); later, Processes handles the signal
        sys.exit(128 + signal.SIGINT)
