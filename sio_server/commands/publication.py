"""Publishes lines in batches: reads them, sends them, tries again, and counts the results."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import click

from sio_server.commands.client import Client, ServerError, printable

BATCH_EVENTS = 500
BATCH_BYTES = 500_000
"""A request has at most so many events, and so many bytes unless one line has more."""

RETRY_SECONDS = 1.0

MAX_SHOWN_REFUSALS = 20


@dataclass(slots=True)
class Line:
    """A line of the input.

    Attributes:
        number: the first line is 1.
        size: its bytes.
        event: the event; None: the line has none.
    """

    number: int
    size: int
    event: dict[str, Any] | None


def batches(file: IO[bytes], prefix: str) -> Iterator[list[Line]]:
    """Read lines, and give those that are there as a batch, without waiting for more.

    Args:
        file: a file, or a pipe into which another program writes.
        prefix: the beginning of the ids of events that have none.
    """
    read: queue.Queue[Line | OSError | None] = queue.Queue(2 * BATCH_EVENTS)

    def read_all() -> None:
        end: OSError | None = None
        try:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    read.put(Line(number, len(text), _event(text, f"{prefix}-{number}")))
        except OSError as error:
            end = error
        read.put(end)

    threading.Thread(target=read_all, daemon=True).start()
    batch: list[Line] = []
    size = 0
    while isinstance(line := read.get(), Line):
        batch.append(line)
        size += line.size
        if len(batch) == BATCH_EVENTS or size > BATCH_BYTES or read.empty():
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
    if line is not None:
        raise click.ClickException(f"can't read more lines: {line.strerror}")


def _event(text: bytes, event_id: str) -> dict[str, Any] | None:
    try:
        event = json.loads(text)
    except ValueError:  # also if it is not UTF-8
        return None
    return {"id": event_id, **event} if isinstance(event, dict) else None


@dataclass(slots=True)
class Publication:
    """Publishes batches, and counts the results.

    Args:
        client: of the server.
        patience: how long it tries again while the server cannot be reached, in seconds.
        show: prints the answer for an event; None: nothing does.

    Attributes:
        counts: the results: ``published``, ``duplicate`` and ``refused``.
        refusals: why events were refused, at most MAX_SHOWN_REFUSALS of them.
    """

    client: Client
    patience: float
    show: Callable[[dict[str, Any]], object] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)

    def send(self, lines: list[Line]) -> None:
        """Publish the events of some lines.

        Raises:
            ServerError: the server refuses all of them, or could not be reached for too long.
        """
        events = [line.event for line in lines if line.event is not None]
        results = iter(self._attempt(events) if events else ())
        for line in lines:
            self._count(line, _NO_EVENT if line.event is None else next(results))

    def _attempt(self, events: list[dict[str, Any]]) -> list[Any]:
        end = time.monotonic() + self.patience
        while True:
            try:
                return list(self.client.call("/api/events/batch", {"events": events})["results"])
            except ServerError as error:
                pause = max(error.retry_seconds, RETRY_SECONDS)
                if not error.is_temporary or time.monotonic() + pause > end:
                    raise
                time.sleep(pause)

    def _count(self, line: Line, result: dict[str, Any]) -> None:
        if self.show is not None:
            self.show({"line": line.number, **result})
        if result["ok"]:
            self.counts["duplicate" if result["duplicate"] else "published"] += 1
            return
        self.counts["refused"] += 1
        if len(self.refusals) < MAX_SHOWN_REFUSALS:
            error = result["error"]
            self.refusals.append(printable(f"line {line.number}: {error['message']}"))

    def report(self) -> None:
        """Print the refusals and the number of events with each result to standard error."""
        for refusal in self.refusals:
            click.echo(refusal, err=True)
        if self.counts["refused"] > len(self.refusals):
            click.echo(f"… and {self.counts['refused'] - len(self.refusals):,} more", err=True)
        duplicate, refused = self.counts["duplicate"], self.counts["refused"]
        parts = [f"{self.counts['published']:,} published"]
        parts += [f"{duplicate:,} published before"] if duplicate else []
        parts += [f"{refused:,} refused"] if refused else []
        click.echo(", ".join(parts), err=True)


_NO_EVENT = {"ok": False, "error": {"code": "invalid_json", "message": "not an object in JSON"}}
