"""The relay as a site runs it: a process with its own environment."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import loopback
from furniture_events.django.models import OutboxEvent

from tests.support.forks import ForkedProcess
from tests.support.server import ROOT, TIMEOUT, Server, python_path, wait_until

_SHORT_BACKOFF = {"BACKOFF_SECONDS": 0.05, "BACKOFF_MAX_SECONDS": 0.2}
_DATABASE = ("ENGINE", "NAME", "USER", "HOST", "PORT", "OPTIONS")


def site_environment(database: Mapping[str, Any], **setting: object) -> dict[str, str]:
    """Return the environment of a process of the test site, with its database and setting."""
    return {
        **os.environ,
        "PYTHONPATH": python_path(ROOT),
        "DJANGO_SETTINGS_MODULE": "tests.django.settings",
        "SITE_DATABASE": json.dumps({key: database[key] for key in _DATABASE if key in database}),
        "SITE_FURNITURE_EVENTS": json.dumps({**_SHORT_BACKOFF, **setting}),
    }


class Relay:
    """A running relay, or another ``program`` in its place."""

    def __init__(
        self,
        *options: str,
        environment: Mapping[str, str],
        program: tuple[str, ...] = ("-m", "django", "relay_furniture_events"),
    ) -> None:
        self.process = ForkedProcess(
            "tests.django.site_process",
            Path.cwd(),
            environment,
            arguments=[*program, *options],
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self.process.output as stream:
            self.lines.extend(stream)

    @property
    def output(self) -> str:
        """Everything that it has printed so far."""
        return "".join(list(self.lines))

    def wait_for(self, text: str, times: int = 1) -> list[str]:
        """Wait until this text was printed this many times; return its lines."""

        def find() -> list[str]:
            found = [line for line in list(self.lines) if text in line]
            if len(found) >= times:
                return found
            assert self._reader.is_alive(), f"the relay has ended: {self.output}"
            return []

        found: list[str] = wait_until(find, f"{times} times {text!r} from the relay")
        return found

    def wait(self) -> int:
        """Wait until it ends by itself; return its exit status."""
        status = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to stop, as a supervisor does; return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.wait()


def answer_after(event: threading.Event) -> loopback.Action:
    """Answer like the broker, after the test sets this event."""

    def action(handler: loopback.Handler) -> None:
        assert event.wait(TIMEOUT)
        loopback.follow_the_contract(handler)

    return action


def published(server: Server) -> list[dict[str, Any]]:
    """Return all events of the broker's log, oldest first, page after page."""
    events: list[dict[str, Any]] = []
    query = {"limit": "1000"}
    while True:
        url = f"{server.url}/api/events?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            page = json.load(answer)
        events += page["events"]
        if not page["more"]:
            return events
        query["since"] = page["position"]


def wait_for_events(server: Server, count: int) -> list[dict[str, Any]]:
    """Wait until the broker's log has this many events; return them."""
    events: list[dict[str, Any]] = wait_until(
        lambda: len(events := published(server)) >= count and events, f"{count} events are there"
    )
    assert len(events) == count
    return events


def wait_until_sent() -> None:
    """Wait until the outbox has no waiting event."""
    wait_until(lambda: not OutboxEvent.objects.filter(error="").exists(), "no event waits")
