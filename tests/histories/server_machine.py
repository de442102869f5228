"""The server of a history and its producers, beside the model's log."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine

from sio_server.contract.errors import IdConflict
from sio_server.contract.events import Event, Receipt
from sio_server.eventlog.contract import Retention
from tests.histories.drawn import Draft
from tests.histories.loop import QuietLoop
from tests.histories.model import Answer, Log, Session
from tests.histories.node import Node

LIFETIME = 1000
"""Seconds for which events and sessions are kept."""

ran: Counter[str] = Counter()
"""How many histories and steps there were, how clients connected, and how slow ones ended."""

SHARED_MEMORY = Path("/dev/shm")
"""Where files are, if it is there: a disk would be the slowest part."""


class Broker(RuleBasedStateMachine):
    """One server at a time.

    Attributes:
        errors: what the server has logged as its own failures.
        epochs: the names of the logs that there have been.
    """

    errors: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.errors.clear()
        self.loop = QuietLoop()
        self.sessions: dict[str, Session] = {}
        self.node: Node
        self.log: Log
        self._times: list[float] = []
        self.epochs: list[str] = ["elsewhere"]
        self._names = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path: Path | None = None
        ran["histories"] += 1

    # The server.

    def begin_with(self, *, on_disk: bool, events: int, recent: int) -> None:
        """Start a server over a new log."""
        if on_disk:
            folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
            self._folder = tempfile.TemporaryDirectory(dir=folder)
        self._retention, self._recent = Retention(LIFETIME, events), recent
        self.start_anew()

    def start_anew(self) -> None:
        """Start a server over a new log, without sessions."""
        if self._folder is not None:
            self._path = Path(self._folder.name) / f"{self._new_name()}.db"
        self.sessions.clear()
        self._times.clear()
        self.node = Node(self.loop, self._path, self._retention, self._recent)
        self.log = Log(self.node.bounds().position.epoch)
        self.epochs.append(self.log.epoch)

    @property
    def is_on_disk(self) -> bool:
        """Whether the log outlives its server."""
        return self._path is not None

    def start_again(self) -> None:
        """Start a server over the last one's log."""
        self.node = Node(self.loop, self._path, self._retention, self._recent)

    def end(self) -> None:
        """Let everything go."""
        if hasattr(self, "node"):
            self.node.kill()
        self.loop.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _new_name(self) -> str:
        self._names += 1
        return f"{self._names}"

    def look(self) -> None:
        """See what the log has let go: nothing but what it may, and all that it must."""
        bounds = self.node.bounds()
        assert bounds.position == (self.log.epoch, self.log.end)
        least = self.log.end - self._retention.events
        assert bounds.oldest.seq >= max(least, self.log.oldest)
        for place in range(max(least, self.log.oldest) + 1, bounds.oldest.seq + 1):
            assert self._is_aged(place), f"{place} has gone"
        self.log.oldest = bounds.oldest.seq

    def _is_aged(self, place: int) -> bool:
        return self.loop.now - self._times[place - 1] > LIFETIME

    # Producers.

    def publish_with(self, drafts: list[Draft]) -> None:
        """Append events in one step; hold the answers to the model's."""
        events = [self.event(draft) for draft in drafts]
        self.check_answers(events, self.loop.finish(self.node.publish(events)))

    def check_answers(self, events: list[Event], answers: list[Any]) -> None:
        """Append events to the model's log too."""
        told = [
            Answer(answer.offset.seq, answer.duplicate) if isinstance(answer, Receipt) else None
            for answer in answers
        ]
        assert all(isinstance(answer, Receipt | IdConflict) for answer in answers)
        assert told == self.log.append(events)
        self._times += [self.loop.now] * (self.log.end - len(self._times))
        self.look()

    def event(self, draft: Draft) -> Event:
        """Return the event that was drawn."""
        furniture = {
            "furniture_id": draft.piece,
            "nombre": "Mesa",
            "descripcion": "",
            "altura": 75,
            "ancho": 120,
            "material": draft.material,
            "autor_username": draft.author,
        }
        event = Event(draft.type, furniture, f"event-{self._new_name()}")
        place = self.log.end + 1 - (draft.again or 0)
        if draft.again is None or place < 1 or self._is_aged(place):
            return event
        earlier = self.log.events[place - 1]
        return earlier if draft.same else Event(event.type, furniture, earlier.id)
