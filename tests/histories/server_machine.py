"""The server and the producers of a history, and the model of the event log beside them."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine

from sio_server.contract.errors import IdConflict
from sio_server.contract.events import Event, Receipt
from sio_server.eventlog.contract import Retention
from tests.histories.event_loop import SteppedLoop
from tests.histories.model import Acknowledgement, ModelLog, ModelSession
from tests.histories.server import InProcessServer
from tests.histories.strategies import Draft

LIFETIME_SECONDS = 1000
"""The retention of events and of sessions."""

counts: Counter[str] = Counter()
"""Histories and steps, connections by their start, and connections closed by the server."""

SHARED_MEMORY = Path("/dev/shm")
"""The folder of the log files, if the machine has it: a disk would be the slowest part."""


class ServerMachine(RuleBasedStateMachine):
    """A history with one server at a time.

    Attributes:
        errors: the errors that the server has logged.
        epochs: the epochs of all logs of the history, after one that never existed.
    """

    errors: ClassVar[list[str]] = []

    def __init__(self) -> None:
        super().__init__()
        self.errors.clear()
        self.loop = SteppedLoop()
        self.sessions: dict[str, ModelSession] = {}
        self.server: InProcessServer
        self.log: ModelLog
        self._append_times: list[float] = []
        self.epochs: list[str] = ["elsewhere"]
        self._names = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path: Path | None = None
        counts["histories"] += 1

    # The server.

    def start_first(self, *, on_disk: bool, retained_events: int, recent_events: int) -> None:
        """Choose the kind of log and its bounds, and start a server over an empty log."""
        if on_disk:
            folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
            self._folder = tempfile.TemporaryDirectory(dir=folder)
        self._retention = Retention(LIFETIME_SECONDS, retained_events)
        self._recent_events = recent_events
        self.start_with_new_log()

    def start_with_new_log(self) -> None:
        """Start a server over an empty log, without sessions."""
        if self._folder is not None:
            self._path = Path(self._folder.name) / f"{self._new_name()}.db"
        self.sessions.clear()
        self._append_times.clear()
        self.start_with_same_log()
        self.log = ModelLog(self.server.bounds().position.epoch)
        self.epochs.append(self.log.epoch)

    def start_with_same_log(self) -> None:
        """Start a server over the log of the last one."""
        self.server = InProcessServer(self.loop, self._path, self._retention, self._recent_events)

    @property
    def is_on_disk(self) -> bool:
        """Whether the log outlives its server."""
        return self._path is not None

    def end(self) -> None:
        """Kill the server, and remove the log."""
        if hasattr(self, "server"):
            self.server.kill()
        self.loop.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _new_name(self) -> str:
        self._names += 1
        return f"{self._names}"

    def check_retention(self) -> None:
        """Check that the log has removed all events that it must, and no other ones."""
        bounds = self.server.bounds()
        assert bounds.position == (self.log.epoch, self.log.end)
        least = self.log.end - self._retention.events
        assert bounds.oldest.seq >= max(least, self.log.oldest)
        for place in range(max(least, self.log.oldest) + 1, bounds.oldest.seq + 1):
            assert self._is_expired(place), f"the log removed {place} too early"
        self.log.oldest = bounds.oldest.seq

    def _is_expired(self, place: int) -> bool:
        return self.loop.now - self._append_times[place - 1] > LIFETIME_SECONDS

    # The producers.

    def publish_drafts(self, drafts: list[Draft]) -> None:
        """Publish events in one batch, and check the answers."""
        events = [self.event(draft) for draft in drafts]
        self.check_publish(events, self.loop.finish(self.server.publish(events)))

    def check_publish(self, events: list[Event], answers: list[Any]) -> None:
        """Append published events to the model's log, and compare the answers."""
        assert all(isinstance(answer, Receipt | IdConflict) for answer in answers)
        acknowledgements = [
            Acknowledgement(answer.offset.seq, answer.duplicate)
            if isinstance(answer, Receipt)
            else None
            for answer in answers
        ]
        assert acknowledgements == self.log.append(events)
        self._append_times += [self.loop.now] * (self.log.end - len(self._append_times))
        self.check_retention()

    def event(self, draft: Draft) -> Event:
        """Return the event of a draft."""
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
        place = self.log.end + 1 - (draft.reuses_id or 0)
        if draft.reuses_id is None or place < 1 or self._is_expired(place):
            return event
        earlier = self.log.events[place - 1]
        return earlier if draft.repeats else Event(event.type, furniture, earlier.id)
