"""The demo's settings, with an app through which a test makes requests fail or wait."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from site_muebles.settings import *  # noqa: F403

from tests.support.demo import DOOMED, Gate

INSTALLED_APPS = [*INSTALLED_APPS, "tests.django.demo_settings.TestHooks"]  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
FURNITURE_EVENTS = FURNITURE_EVENTS | {  # noqa: F405
    "POSITION_SECONDS": 0.001,
    "LEASE_SECONDS": 2,
}


class TestHooks(AppConfig):
    """Makes chosen requests fail after their save, and the list wait around its query."""

    name = "tests.django.demo_settings"

    def ready(self) -> None:
        """Replace parts of the views."""
        from catalog.views import MuebleCreate, MuebleList
        from django.contrib.admin.models import LogEntry
        from django.db.models.signals import post_save

        before, after = (Gate(Path(os.environ["GATES"]), name) for name in ("before", "after"))
        get_queryset, get_success_url = MuebleList.get_queryset, MuebleCreate.get_success_url

        def fail_the_admin(instance: LogEntry, **_: Any) -> None:
            assert instance.object_repr != DOOMED

        def fail_the_site(self: MuebleCreate) -> str:
            assert self.object.nombre != DOOMED
            return get_success_url(self)

        def wait_at_gates(self: MuebleList) -> Any:
            pieces = get_queryset(self)
            if "gates" in self.request.GET:
                before.stand()
                len(pieces)  # the query
                after.stand()
            return pieces

        post_save.connect(fail_the_admin, sender=LogEntry, weak=False)
        MuebleCreate.get_success_url = fail_the_site
        MuebleList.get_queryset = wait_at_gates
