"""With ``DB_CASCADE`` the database itself deletes rows, and Django sends no signals."""

from __future__ import annotations

from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import models
from furniture_events.django import mapping, saving
from furniture_events.django.checks import check_setting
from furniture_events.django.testing import capture_events

from tests.django.databases import smoke
from tests.django.overrides import override_setting
from tests.django.pieces import summaries
from tests.django.showroom.models import Cojin
from tests.django.test_checks import AUTHOR, only
from tests.django.test_mapping import VALUES

pytestmark = [
    smoke,
    pytest.mark.skipif(not hasattr(models, "DB_CASCADE"), reason="Django 6.1 has DB_CASCADE"),
]

MODELS = {"showroom.Cojin": AUTHOR}


def test_pieces_that_the_database_deletes_are_found() -> None:
    """W009, because nobody learns of these deletes."""
    with override_setting(MODELS=MODELS):
        id, message, hint = only(check_setting())
    assert (id, "deletes pieces with their autor" in message) == ("W009", True)
    assert hint == "Use CASCADE, or delete the pieces before their autor."


def test_only_deletes_by_django_are_published(autor: User) -> None:
    """As the hint says: delete the pieces before their author."""
    with override_setting(MODELS=MODELS), mock.patch.dict(mapping._mappers, clear=True):
        saving.watch()
        first, second = (Cojin.objects.create(**VALUES, autor=autor) for _ in range(2))
        with capture_events() as events:
            first.delete()
            autor.delete()
    assert not Cojin.objects.filter(pk=second.pk).exists()
    assert summaries(events) == [("deleted",)]
