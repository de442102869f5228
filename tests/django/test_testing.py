"""``furniture_events.django.testing`` works in a site's own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from furniture_events.django import publish
from furniture_events.django.testing import Events, capture_events

from tests.django.databases import on_postgres
from tests.django.overrides import override_setting
from tests.django.pieces import mueble, summaries
from tests.django.test_publishing import FURNITURE
from tests.support.server import ROOT, TIMEOUT, python_path


def test_only_the_blocks_events_are_captured(autor: User) -> None:
    """They come after the block, oldest first, without events that were rolled back."""
    publish("furniture_created", FURNITURE)
    with capture_events() as events:
        mueble(autor).save()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            mueble(autor, nombre="Silla").save()
            raise ZeroDivisionError
        publish("furniture_updated", FURNITURE, id="mine")
    publish("furniture_deleted", FURNITURE)
    assert summaries(events) == [("created",), ("updated",)]
    assert events[1] == {
        "type": "furniture_updated",
        "furniture": {**FURNITURE, "altura": 75.5},
        "id": "mine",
    }


def test_in_direct_mode_nothing_is_sent(autor: User) -> None:
    """The events are captured at the commit. The setting's URL has no broker."""
    with override_setting(MODE="direct"), capture_events() as events:
        with transaction.atomic():
            mueble(autor).save()
            assert events == []
        assert summaries(events) == [("created",)]
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            mueble(autor).save()
            raise ZeroDivisionError
    assert summaries(events) == [("created",)]


def test_a_failed_assertion_shows_all_events() -> None:
    """Exactly one event must have the type and all the values."""
    with capture_events() as events:
        publish("furniture_created", FURNITURE)
        publish("furniture_updated", FURNITURE)
        publish("furniture_updated", {**FURNITURE, "material": "pino"})
    assert events.assert_published("furniture_created") == events[0]
    assert events.assert_published("furniture_updated", material="pino", ancho=120) == events[2]
    with pytest.raises(AssertionError, match=r"2 events are furniture_updated .*roble.*pino"):
        events.assert_published("furniture_updated")
    with pytest.raises(AssertionError, match=r"0 events are furniture_deleted"):
        events.assert_published("furniture_deleted")
    with pytest.raises(AssertionError, match=r"0 events are furniture_created"):
        events.assert_published("furniture_created", material="pino")
    with pytest.raises(AssertionError, match=r"0 events are furniture_created with {}, of \[\]"):
        Events().assert_published("furniture_created")


SETTINGS = """
from tests.django.settings import *

DATABASES = {"default": %r}
MIGRATION_MODULES = dict.fromkeys(["admin", "auth", "contenttypes", "reversion", "sessions"])
FURNITURE_EVENTS["MODE"] = %r
"""

TESTS = """
from django.contrib.auth.models import User
from django.test import TestCase, TransactionTestCase
from furniture_events.django.testing import capture_events
from tests.django.pieces import mueble


class Mixin:
    def test_saves(self):
        autor = User.objects.create_user("juan")
        for nombre in ("a", "b"):
            with capture_events() as events, self.captureOnCommitCallbacks(execute=True):
                mueble(autor, nombre=nombre).save()
            assert len(events) == 1, events
            events.assert_published("furniture_created", nombre=nombre)

    def test_a_save(self):
        with capture_events() as events:
            with self.captureOnCommitCallbacks(execute=True):
                mueble(User.objects.create_user("juan")).save()
        events.assert_published("furniture_created", autor_username="juan")

    test_it_again = test_a_save  # nothing of the other one is left


class Quick(Mixin, TestCase):
    pass


class Thorough(Mixin, TransactionTestCase):
    def captureOnCommitCallbacks(self, execute):
        return self.subTest()
"""

PYTEST_TESTS = """
import pytest
from django.contrib.auth.models import User
from furniture_events.django.testing import capture_events
from tests.django.pieces import mueble


@pytest.mark.parametrize("again", [False, True])
def test_quick(db, django_capture_on_commit_callbacks, again):
    with capture_events() as events, django_capture_on_commit_callbacks(execute=True):
        mueble(User.objects.create_user("juan")).save()
    events.assert_published("furniture_created", autor_username="juan")


@pytest.mark.parametrize("again", [False, True])
def test_thorough(transactional_db, again):
    with capture_events() as events:
        mueble(User.objects.create_user("juan")).save()
    events.assert_published("furniture_created", autor_username="juan")
"""


@on_postgres
@pytest.mark.parametrize("mode", ["outbox", "direct"])
@pytest.mark.parametrize(
    ("command", "tests", "passed"),
    [
        (["django", "test", "--noinput"], TESTS, "Ran 6 tests"),
        (["pytest", "-p", "no:cacheprovider", "-p", "no:asyncio"], PYTEST_TESTS, "4 passed"),
    ],
)
def test_a_sites_own_tests_capture_events(
    command: list[str], tests: str, passed: str, mode: str, tmp_path: Path
) -> None:
    """TestCase, TransactionTestCase and pytest-django's ``db`` and ``transactional_db`` work."""
    database = {
        key: connections.settings["default"][key]
        for key in ("ENGINE", "NAME", "USER", "HOST", "PORT")
    }
    (tmp_path / "project_settings.py").write_text(SETTINGS % (database, mode))
    (tmp_path / "test_project.py").write_text(tests)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "project_settings", "PYTHONPATH": python_path(tmp_path, ROOT)},
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed in done.stdout + done.stderr
