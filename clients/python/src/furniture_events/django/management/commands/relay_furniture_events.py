"""``manage.py relay_furniture_events``: a process beside the site, which drains the outbox."""

import logging
import signal
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, Error, connections

from furniture_events import FurnitureEventsError
from furniture_events.django import outbox
from furniture_events.django.relay import Relay

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    """Publishes the outbox's events, until SIGTERM or SIGINT."""

    help = "Send the outbox to the broker, now and after each commit."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections))
        task = parser.add_mutually_exclusive_group()
        task.add_argument(
            "--once", action="store_true", help="Publish the waiting events, and end."
        )
        task.add_argument(
            "--status",
            action="store_true",
            help="Print the number and the oldest age of waiting and of refused rows.",
        )

    def handle(self, *, database: str, once: bool, status: bool, verbosity: int, **_: Any) -> None:
        """Do the chosen task. Without an option, run until a signal."""
        _log_to(self.stderr, verbosity)
        try:
            if status:
                self._print_status(database)
            elif once:
                self._once(database)
            else:
                self._run(database)
        except Error as error:
            raise CommandError(f"the outbox on {database!r} cannot be used: {error}") from error

    def _run(self, database: str) -> None:
        with suppress(Error):  # the relay waits for a database that is down
            _check_outbox(database)
        relay = Relay(database)
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: relay.stop())
        relay.run()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # a second one must not change the exit status

    def _once(self, database: str) -> None:
        _check_outbox(database)
        try:
            if not Relay(database).run_once():
                raise CommandError("another relay is at work on this database")
        except FurnitureEventsError as error:
            raise CommandError(f"the broker takes nothing: {error}") from error

    def _print_status(self, database: str) -> None:
        _check_outbox(database)
        waiting, oldest, refused, oldest_refused = outbox.status(database)
        self.stdout.write(
            f"waiting={waiting} oldest_seconds={_seconds(oldest)}"
            f" refused={refused} oldest_refused_seconds={_seconds(oldest_refused)}"
        )


def _seconds(age: timedelta | None) -> str:
    return "none" if age is None else f"{age.total_seconds():.3f}"


def _check_outbox(database: str) -> None:
    if not outbox.exists(database):
        raise CommandError(f"there is no outbox on {database!r} yet: manage.py migrate")


def _log_to(stream: Any, verbosity: int) -> None:
    """Show the log lines of this package, unless the project's LOGGING handles them."""
    logger = logging.getLogger("furniture_events")
    handlers = [
        *logger.handlers,
        *logging.getLogger("furniture_events.django").handlers,
        *logging.root.handlers,
    ]
    if all(isinstance(handler, logging.NullHandler) for handler in handlers):
        console = logging.StreamHandler(stream)
        console.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(console)
        logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG, logging.DEBUG][verbosity])
