"""A relay that kills itself: ``python -m tests.django.kills.killed_relay POINT VISIT``.

It runs the product's command. Wrapped functions kill the process at a point of its work, at the
given visit of that point.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django
from httpcore2._backends.sync import SyncStream

django.setup()

from django.core.management import call_command  # noqa: E402 - models exist from here on
from django.db import connection  # noqa: E402
from furniture_events.django import outbox, relay  # noqa: E402
from furniture_events.django.models import OutboxEvent  # noqa: E402

Step = Callable[[], None]


def trap(visits: int) -> Step:
    """Return a function that kills this process when it is called for the last of these visits."""
    left = visits

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def before_reading(step: Step) -> None:
    """The outbox has waiting events, and none was read yet."""
    waiting = outbox.waiting

    def trapped(using: str) -> Any:
        rows = waiting(using)
        if rows.exists():
            step()
        return rows

    outbox.waiting = trapped


def after_reading(step: Step) -> None:
    """Rows were read, and no request was sent yet."""
    rounds = relay.rounds

    def trapped(rows: Any) -> Any:
        step()
        return rounds(rows)

    relay.rounds = trapped


def sent(step: Step) -> None:
    """The whole request was sent, and nothing of its answer was read yet."""
    read, write = SyncStream.read, SyncStream.write
    asked = False

    def trapped_write(self: SyncStream, *arguments: Any, **options: Any) -> None:
        nonlocal asked
        write(self, *arguments, **options)
        asked = True

    def trapped_read(self: SyncStream, *arguments: Any, **options: Any) -> bytes:
        nonlocal asked
        if asked:
            step()
        asked = False
        return read(self, *arguments, **options)

    SyncStream.write, SyncStream.read = trapped_write, trapped_read


def answered(step: Step) -> None:
    """The broker has the events, and they are still in the outbox."""
    delete = outbox.delete

    def trapped(rows: Any, using: str) -> None:
        if rows:  # empty if the broker took nothing
            step()
        delete(rows, using)

    outbox.delete = trapped


def deleting(step: Step) -> None:
    """The rows are deleted, and the delete is not committed yet."""
    delete = f"DELETE FROM {connection.ops.quote_name(OutboxEvent._meta.db_table)}"

    def trapped(execute: Any, sql: str, parameters: Any, many: Any, context: Any) -> Any:
        result = execute(sql, parameters, many, context)
        if sql.startswith(delete):
            assert context["connection"].in_atomic_block
            step()
        return result

    connection.execute_wrappers.append(trapped)


POINTS = (before_reading, after_reading, sent, answered, deleting)


if __name__ == "__main__":
    name, visit = sys.argv[1:]
    (point,) = [each for each in POINTS if each.__name__ == name]
    point(trap(int(visit)))
    call_command("relay_furniture_events")
