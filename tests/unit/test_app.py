"""The composition root: it makes the log of the settings, and connects the parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sio_server.app import make_app, make_event_log
from sio_server.eventlog.contract import EventLog, Retention
from sio_server.eventlog.memory.log import MemoryLog
from sio_server.eventlog.sqlite.log import SqliteLog
from sio_server.eventlog.valkey.log import ValkeyLog
from sio_server.settings import Settings


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://", MemoryLog),
        ("sqlite:///var/events.db", SqliteLog),
        ("redis://localhost", ValkeyLog),
        ("valkey://localhost:6379/1", ValkeyLog),
    ],
)
def test_the_log_is_of_the_kind_that_the_settings_name(
    url: str, kind: type[EventLog], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not opened yet: no file is written, and no server is contacted."""
    monkeypatch.chdir(tmp_path)
    assert type(make_event_log(Settings(_env_file=None, event_log=url))) is kind
    assert list(tmp_path.iterdir()) == []


async def test_every_route_is_served() -> None:
    """These are the paths of the contract."""
    app, hub, _ = make_app(Settings(_env_file=None), MemoryLog(Retention()))
    paths = {resource.canonical for resource in app.router.resources()}
    assert paths >= {
        "/",
        "/ws",
        "/socket.io/",
        "/socket.io/socket.io.js",
        "/api/events",
        "/api/events/batch",
        "/api/stream",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert not hub.is_delivering
    assert not hub.is_draining
