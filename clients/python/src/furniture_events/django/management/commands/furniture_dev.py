"""``manage.py furniture_dev``: broker, relay and ``runserver`` together, for development."""

import importlib.util
import os
import sys
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from furniture_events.django.checks import is_this_machine
from furniture_events.django.conf import Config, config
from furniture_events.django.preconditions import check_outbox
from furniture_events.django.processes import Processes, listens, port_in_use

LOCAL = "127.0.0.1"

_DJANGO = (sys.executable, "-m", "django")


class Command(BaseCommand):
    """Runs the three processes until one of them ends, or until Ctrl-C."""

    help = "Start the broker, the relay and runserver together, for development."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "addrport",
            nargs="?",
            default="127.0.0.1:8000",
            help="The site's port, or address:port, as for runserver.",
        )

    def handle(self, *, addrport: str, **_: Any) -> None:
        """Start the processes, and stop all of them at the end."""
        setting = config()
        host, _colon, port = addrport.rpartition(":")
        if not port.isdecimal():
            raise CommandError(f"{addrport!r} is not a port or address:port, such as 8000")
        broker = _check(setting)
        busy = port_in_use(broker.port or 80, int(port))
        if busy is not None:
            raise CommandError(
                f"another program listens on port {busy}, perhaps another furniture_dev. End it, "
                "or choose other ports: of the site by the argument, of the broker in "
                "FURNITURE_EVENTS['URL']."
            )
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        names = dict.fromkeys(filter(None, [host, LOCAL, "localhost"]))
        origins = ",".join(f"http://{name}:{port}" for name in names)
        with Processes(self._print) as processes:
            processes.start(
                "broker",
                [sys.executable, "-m", "sio_server"],
                {**_broker_environment(setting, broker, origins), **path},
            )
            if processes.until(lambda: listens(broker.port or 80)):
                if setting.mode == "outbox":
                    processes.start("relay", [*_DJANGO, "relay_furniture_events"], path)
                processes.start("site", [*_DJANGO, "runserver", addrport], path)
            if processes.until(lambda: listens(int(port), host or LOCAL)):
                self._print(
                    f"\n  The site    http://{host or LOCAL}:{port}/\n"
                    f"  The broker  {setting.url}/ (each event, live)\n"
                    "  Ctrl-C stops all of it.\n"
                )
            ended = processes.until_end()
        if ended is not None:
            raise CommandError(f"the {ended} has ended, so the others were stopped")

    def _print(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _check(setting: Config) -> SplitResult:
    """Check that the processes can start here; return the broker's URL."""
    broker = urlsplit(setting.url)
    if os.name != "posix":
        raise CommandError(
            "furniture_dev needs Linux or macOS. Start these in terminals of their own: "
            "python -m sio_server, manage.py relay_furniture_events, manage.py runserver."
        )
    if broker.scheme != "http" or not is_this_machine(broker.hostname or ""):
        raise CommandError(
            f"FURNITURE_EVENTS['URL'] is {setting.url}, and furniture_dev starts a broker on this "
            "machine: set it to http://127.0.0.1:8765 for development."
        )
    if importlib.util.find_spec("sio_server") is None:
        raise CommandError(
            "furniture_dev starts the broker, and this Python cannot import sio_server: "
            "install the package furniture-events-server."
        )
    if setting.mode == "outbox":
        check_outbox(DEFAULT_DB_ALIAS)
    return broker


def _broker_environment(setting: Config, url: SplitResult, origins: str) -> dict[str, str]:
    """Return the broker's settings. The developer's own ``SIO_`` variables come first."""
    settings = {
        "SIO_HOST": "127.0.0.1",
        "SIO_PORT": str(url.port or 80),
        "SIO_EVENT_LOG": "memory://",
        "SIO_DRAIN_SECONDS": "1",
        "SIO_CORS_ORIGINS": origins,
        "SIO_OPEN_PUBLISH": "loopback" if setting.key is None else "off",
        "SIO_PRODUCER_KEYS": setting.key,
        "SIO_JWT_SECRET": setting.token_secret,
        "SIO_JWT_ISSUER": setting.token_issuer,
        "SIO_JWT_AUDIENCE": setting.token_audience,
    }
    return {
        name: value
        for name, value in settings.items()
        if value is not None and name not in os.environ
    }
