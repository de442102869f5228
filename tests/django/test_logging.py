"""The app's warnings and errors are visible, even if the site configures no logging."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from django.db import connection

from tests.django.relays import site_environment
from tests.support.server import ROOT, TIMEOUT, free_ports, python_path

SCRIPT = """
import django
django.setup()
from furniture_events.django import publish
from furniture_events.django.page import position
from tests.django.test_publishing import FURNITURE
publish("furniture_created", FURNITURE)
assert position() is None
"""


def test_lost_events_are_on_stderr_with_djangos_default_logging(tmp_path: Path) -> None:
    """A site without LOGGING sees lost events, and pages without a position."""
    (tmp_path / "default_logging.py").write_text(
        "from tests.django.settings import *\nLOGGING_CONFIG = 'logging.config.dictConfig'\n"
    )
    (port,) = free_ports(1)
    environment = site_environment(
        connection.settings_dict, MODE="direct", URL=f"http://127.0.0.1:{port}"
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment
        | {
            "DJANGO_SETTINGS_MODULE": "default_logging",
            "PYTHONPATH": python_path(tmp_path, ROOT),
        },
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
        check=True,
    )
    assert "event_lost reason='Unreachable'\n" in done.stderr
    assert "position_unknown reason=Unreachable\n" in done.stderr
