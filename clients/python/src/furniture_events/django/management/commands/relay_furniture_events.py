"""``manage.py relay_furniture_events``: a process beside the site, which drains the outbox.

``call_command`` can run it in a site's own process, too. Then it leaves the process as it was.
"""

import logging
import signal
import threading
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, Error, connections

from furniture_events import FurnitureEventsError
from furniture_events.django import outbox
from furniture_events.django.conf import config
from furniture_events.django.preconditions import check_outbox, check_transaction
from furniture_events.django.relay import Relay
from furniture_events.django.relay_metrics import serve_metrics

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_logger = logging.getLogger("furniture_events.django")

_MAX_PORT = 65_535

_OUTSIDE = "run the relay outside of it, because its events are not committed yet"


class Command(BaseCommand):
    """Publishes the outbox's events, until SIGTERM or SIGINT."""

    help = "Send the outbox to the broker, now and after each commit."

    _is_own_process = False

    def run_from_argv(self, argv: list[str]) -> None:
        """Run in a process of its own, from the command line."""
        self._is_own_process = True
        super().run_from_argv(argv)

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
        parser.add_argument(
            "--max-age",
            type=float,
            metavar="SECONDS",
            help="With --status: fail if a row waits longer.",
        )
        parser.add_argument(
            "--max-waiting", type=int, metavar="ROWS", help="With --status: fail if more rows wait."
        )
        parser.add_argument(
            "--metrics",
            type=_address,
            metavar="[HOST:]PORT",
            help="While it runs: serve Prometheus metrics at http://HOST:PORT/metrics "
            "(HOST: 127.0.0.1).",
        )

    def handle(
        self,
        *,
        database: str,
        once: bool,
        status: bool,
        max_age: float | None,
        max_waiting: int | None,
        metrics: tuple[str, int] | None,
        verbosity: int,
        **_: Any,
    ) -> None:
        """Do the chosen task. Without an option, run until a signal."""
        if not status and (max_age, max_waiting) != (None, None):
            raise CommandError("--max-age and --max-waiting belong to --status")
        if (once or status) and metrics is not None:
            raise CommandError("--metrics belongs to a relay that keeps running")
        if self._is_own_process and config().tracing:
            from furniture_events._tracing import (  # noqa: PLC0415 - it needs an extra
                set_service,
            )

            set_service("furniture-events-relay")
        try:
            with _logging_to(self.stderr, verbosity):
                if status:
                    self._print_status(database, max_age, max_waiting)
                elif once:
                    self._once(database)
                else:
                    self._run(database, metrics)
        except Error as error:
            raise CommandError(f"the outbox on {database!r} cannot be used: {error}") from error

    def _run(self, database: str, metrics: tuple[str, int] | None) -> None:
        if config().mode == "direct":
            raise CommandError(
                "FURNITURE_EVENTS['MODE'] is 'direct': each commit publishes its events, and there "
                "is nothing to relay. --once sends rows from before."
            )
        check_transaction(database, _OUTSIDE)
        with suppress(Error):  # the relay waits for a database that is down
            check_outbox(database)
        relay = Relay(database)
        with self._stopping(relay), _serving(relay, metrics):
            relay.run()

    @contextmanager
    def _stopping(self, relay: Relay) -> Iterator[None]:
        """Let the signals stop the relay. In a thread they are the main thread's business."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, lambda *_: relay.stop()) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                # A second signal must not change the exit status of the relay's own process.
                after = signal.SIG_IGN if self._is_own_process else handler or signal.SIG_DFL
                signal.signal(number, after)

    def _once(self, database: str) -> None:
        check_transaction(database, _OUTSIDE)
        check_outbox(database)
        try:
            if not Relay(database).run_once():
                raise CommandError("another relay is at work on this database")
        except FurnitureEventsError as error:
            raise CommandError(f"the broker takes nothing: {error}") from error

    def _print_status(self, database: str, max_age: float | None, max_waiting: int | None) -> None:
        check_outbox(database)
        waiting, oldest, refused, oldest_refused = outbox.status(database)
        self.stdout.write(
            f"waiting={waiting} oldest_seconds={_seconds(oldest)}"
            f" refused={refused} oldest_refused_seconds={_seconds(oldest_refused)}"
        )
        if max_waiting is not None and waiting > max_waiting:
            raise CommandError(f"{waiting} rows wait, more than {max_waiting}: is the relay alive?")
        if max_age is not None and oldest is not None and oldest.total_seconds() > max_age:
            raise CommandError(
                f"the oldest row waits for {_seconds(oldest)} s, longer than {max_age:g} s: is the "
                "relay alive?"
            )


def _address(text: str) -> tuple[str, int]:
    """Read ``[HOST:]PORT``. An address of IPv6 is in brackets."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise ArgumentTypeError(f"{text!r} is no port, and no address with a port")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def _serving(relay: Relay, address: tuple[str, int] | None) -> Iterator[None]:
    """Serve the metrics of a relay, if there is an address for them."""
    if address is None:
        yield
        return
    with ExitStack() as stack:
        try:
            url = stack.enter_context(serve_metrics(relay, *address))
        except OSError as error:
            relay.close()
            host, port = address
            raise CommandError(f"can't serve the metrics on {host}:{port}: {error}") from error
        _logger.info("relay_metrics url=%s", url)
        yield


def _seconds(age: timedelta | None) -> str:
    return "none" if age is None else f"{age.total_seconds():.3f}"


@contextmanager
def _logging_to(stream: Any, verbosity: int) -> Iterator[None]:
    """Show the log lines of this package, unless the project's LOGGING handles them."""
    logger = logging.getLogger("furniture_events")
    handlers = [
        *logger.handlers,
        *logging.getLogger("furniture_events.django").handlers,
        *logging.root.handlers,
    ]
    if not all(isinstance(handler, logging.NullHandler) for handler in handlers):
        yield
        return
    console, level = logging.StreamHandler(stream), logger.level
    console.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(console)
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG, logging.DEBUG][verbosity])
    try:
        yield
    finally:
        logger.removeHandler(console)
        logger.setLevel(level)
