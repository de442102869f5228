"""A process that fills the site's database: ``writer prepare|commits|backlog …``."""

from __future__ import annotations

import json
import os
import sys
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.django.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - models exist from here on

from benchmarks.django.catalog.models import Mueble  # noqa: E402
from benchmarks.figures import FURNITURE  # noqa: E402

COLUMNS = {name: value for name, value in FURNITURE.items() if name != "furniture_id"}


def prepare() -> None:
    """Create the tables, and one piece without an event."""
    call_command("migrate", verbosity=0, run_syncdb=True)
    Mueble.objects.bulk_create([Mueble(**COLUMNS)])


def commits(rate: float, count: int) -> None:
    """Create pieces on a schedule; print each piece's width and the time of its commit."""
    committed = {}
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        Mueble.objects.create(**{**COLUMNS, "ancho": number})
        committed[number] = time.monotonic()
    json.dump(committed, sys.stdout)


def backlog(count: int, pieces: int) -> None:
    """Fill the outbox with events of this number of pieces, in turns."""
    from furniture_events.django import outbox  # noqa: PLC0415 - plain sites lack it
    from furniture_events.django.events import ChangeEvent  # noqa: PLC0415

    for start in range(0, count, 1000):
        outbox.append(
            [
                ChangeEvent.encode(
                    "furniture_updated", {**FURNITURE, "furniture_id": str(number % pieces)}
                )
                for number in range(start, min(start + 1000, count))
            ],
            "default",
        )


if __name__ == "__main__":
    {"prepare": prepare, "commits": commits, "backlog": backlog}[sys.argv[1]](
        *(int(word) for word in sys.argv[2:])
    )
