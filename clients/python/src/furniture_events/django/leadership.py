"""Leadership: each database has one active relay, and the others stand by.

This only saves work. Two active relays would send the same events with the same ids. Each would
send an event of a piece only after the broker took the earlier one. So no event would be doubled
or out of order.
"""

import math
import secrets
import time
from datetime import timedelta
from typing import Any, Protocol

from django.db import IntegrityError, connections
from django.db.models import Q
from django.utils import timezone

from furniture_events.django.conf import config
from furniture_events.django.models import RelayLease

__all__ = ["AdvisoryLock", "Leadership", "Lease", "is_led", "leadership"]

_LOCK = 0x667572_6E69_7475  # "furnitu" in ASCII. An advisory lock is a number, in each database


class Leadership(Protocol):
    """The right to send, which one relay of a database has."""

    renew_seconds: float
    """How often the active relay must call ``hold`` to stay active."""

    def hold(self) -> bool:
        """Become or stay active; return whether this relay is active now.

        Raises:
            DatabaseError: the database failed.
        """

    def release(self) -> None:
        """Let another relay become active.

        Raises:
            DatabaseError: the database failed.
        """


def leadership(using: str) -> Leadership:
    """Return an advisory lock on PostgreSQL, and a lease on other databases."""
    if connections[using].vendor == "postgresql":
        return AdvisoryLock(using)
    return Lease(using, timedelta(seconds=config().lease_seconds))


def is_led(using: str) -> bool:
    """Tell whether a relay is active on the database ``using`` now.

    Raises:
        DatabaseError: the database failed.
    """
    if connections[using].vendor != "postgresql":
        return RelayLease.objects.using(using).filter(expires_at__gt=timezone.now()).exists()
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid = %s AND objid = %s)",
            divmod(_LOCK, 2**32),
        )
        return bool(cursor.fetchone()[0])


class AdvisoryLock:
    """A lock of PostgreSQL, which ends with the connection that took it, however that ends."""

    renew_seconds = math.inf

    def __init__(self, using: str) -> None:
        self._using = using
        self._held_by: Any = None

    def hold(self) -> bool:
        connection = connections[self._using]
        if self._held_by is None or self._held_by is not connection.connection:
            self._held_by = None
            if self._ask("SELECT pg_try_advisory_lock(%s)"):
                self._held_by = connection.connection
        return self._held_by is not None

    def release(self) -> None:
        held_by, self._held_by = self._held_by, None
        if held_by is not None and held_by is connections[self._using].connection:
            self._ask("SELECT pg_advisory_unlock(%s)")

    def _ask(self, query: str) -> bool:
        with connections[self._using].cursor() as cursor:
            cursor.execute(query, [_LOCK])
            return bool(cursor.fetchone()[0])


class Lease:
    """A row with the holder and an expiry time. The holder renews it at half of its length.

    The time to renew comes from a monotonic clock. If the time of day is set back, the row would be
    valid for too long; the next renewal corrects it.
    """

    def __init__(self, using: str, length: timedelta) -> None:
        self._using = using
        self._length = length
        self.renew_seconds = length.total_seconds() / 2
        self._holder = secrets.token_hex(16)
        self._renew_at = time.monotonic()

    def hold(self) -> bool:
        started = time.monotonic()
        if started < self._renew_at:
            return True
        now = timezone.now()
        rows = RelayLease.objects.using(self._using)
        lease = rows.filter(pk=1).first()
        if lease is not None and lease.holder != self._holder and now < lease.expires_at:
            return False  # a standby only reads: on SQLite, a write would block all others
        values = {"holder": self._holder, "expires_at": now + self._length}
        if lease is not None:
            free = Q(holder=self._holder) | Q(expires_at__lte=now)
            held = bool(rows.filter(free, pk=1).update(**values))
        else:
            try:
                rows.create(pk=1, **values)
                held = True
            except IntegrityError:
                held = False
        if held:
            self._renew_at = started + self.renew_seconds
        return held

    def release(self) -> None:
        RelayLease.objects.using(self._using).filter(pk=1, holder=self._holder).delete()
        self._renew_at = time.monotonic()
