"""The outbox: events and revocations that are committed and not yet sent. And its relay's lease.

The relay deletes a row when the broker has acknowledged it. If the broker refuses a row
permanently, it stays, with the error.
"""

from typing import ClassVar

from django.db import models
from django.utils import timezone

__all__ = ["OutboxEvent", "OutboxRevocation", "RelayLease"]


class OutboxEvent(models.Model):
    """An event on its way to the broker."""

    type = models.CharField(max_length=32)
    furniture_id = models.TextField("furniture id")
    event = models.TextField(help_text="As JSON; its id is the idempotency key.")
    created_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(
        blank=True, default="", help_text="Why the broker refuses it; empty while it is waiting."
    )

    traceparent = models.CharField(  # noqa: DJ001 - NULL costs no space
        max_length=55,
        null=True,
        editable=False,
        help_text="The trace in which it was made; NULL without tracing.",
    )

    class Meta:
        verbose_name = "outbox event"
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(
                fields=["id"], name="furniture_events_waiting", condition=models.Q(error="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.furniture_id}"


class OutboxRevocation(models.Model):
    """A user whose tokens the broker must no longer accept."""

    sub = models.TextField("subject", help_text="The primary key of the user.")
    created_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(
        blank=True, default="", help_text="Why the broker refuses it; empty while it is waiting."
    )

    class Meta:
        verbose_name = "outbox revocation"
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"tokens of {self.sub}"


class RelayLease(models.Model):
    """The active relay, if the database has no advisory locks. There is at most one row, 1."""

    holder = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "relay lease"

    def __str__(self) -> str:
        return f"{self.holder} until {self.expires_at}"
