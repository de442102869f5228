"""Start a Django site with live pages on this machine: ``make demo``. Ctrl-C stops all of it.

The site is in ``django_catalog/``. Its database and the broker's log are in ``var/demo``.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from furniture_events.django.processes import Processes, listens, port_in_use

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
  Open   http://127.0.0.1:{PORT}/        in two windows, one of them private: as ana, and as eva
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


def main() -> int:
    """Run broker, relay and site until one of them ends, or until a signal asks to stop."""
    busy = port_in_use(BROKER_PORT, PORT)
    if busy is not None:
        print(
            f"Another program listens on port {busy}, perhaps another make demo or make run. "
            "End it, or choose other ports with DEMO_PORT and DEMO_BROKER_PORT."
        )
        return 1
    if not prepare():
        return 1
    with Processes(partial(print, flush=True)) as processes:
        server = [*RESTARTING, sys.executable, "-m", "sio_server"]
        processes.start("broker", server, {"PYTHONPATH": str(ROOT), **BROKER_SETTINGS})
        if processes.until(lambda: listens(BROKER_PORT)):
            processes.start("relay", [*MANAGE, "relay_furniture_events"], SITE_SETTINGS)
            processes.start("site", [sys.executable, *GUNICORN], SITE_SETTINGS)
            if processes.until(lambda: listens(PORT)):
                print(WELCOME, flush=True)
        ended = processes.until_end()
    if ended is not None:
        print(f"{ended} has ended, so all other processes were stopped", flush=True)
    return 0 if ended is None else 1


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGHUP, signal.SIGTERM):  # like Ctrl-C, until Processes handles them
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
