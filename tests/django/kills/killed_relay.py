"""A relay that kills itself: ``python -m tests.django.kills.killed_relay POINT VISIT``.

It is the product's command; what that calls is wrapped here, to die at the visit of a point.
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
    """Return what ends this process, without warning, when it is called so often."""
    left = visits

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def before_reading(step: Step) -> None:
    """There is something to read, and it is not read."""
    waiting = outbox.waiting

    def trapped(using: str) -> Any:
        rows = waiting(using)
        if rows.exists():
            step()
        return rows

    outbox.waiting = trapped


def after_reading(step: Step) -> None:
    """Rows are read, and nothing is done with them."""
    rounds = relay.rounds

    def trapped(rows: Any) -> Any:
        step()
        return rounds(rows)

    relay.rounds = trapped


def sent(step: Step) -> None:
    """The whole request is with the kernel, and nothing of its answer was read."""
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
        if rows:  # none where the broker took nothing
            step()
        delete(rows, using)

    outbox.delete = trapped


def deleting(step: Step) -> None:
    """They are deleted, and that is not committed."""
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
    (point,) = [it for it in POINTS if it.__name__ == name]
    point(trap(int(visit)))
    call_command("relay_furniture_events")
