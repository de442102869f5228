"""The relay, as the process that a site runs beside it, against a real broker."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import override_settings
from furniture_events.django.models import OutboxEvent

from tests.django.test_saving import mueble
from tests.support.server import Server


def test_once_publishes_what_waits(autor: User, start_server: Callable[..., Server]) -> None:
    """`--once` sends what waits and ends, `--status` counts it."""
    server = start_server(producer_keys="a-producer-key")
    mueble(autor).save()
    from django.conf import settings

    with override_settings(FURNITURE_EVENTS={**settings.FURNITURE_EVENTS, "URL": server.url}):
        call_command("relay_furniture_events", "--status")
        call_command("relay_furniture_events", "--once")
        call_command("relay_furniture_events", "--status")
    assert OutboxEvent.objects.count() == 0
