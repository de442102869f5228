"""The outbox in the admin: waiting rows, refused rows with their errors, and a retry."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest

from furniture_events.django import outbox
from furniture_events.django.models import OutboxEvent, OutboxRevocation
from furniture_events.django.refused import publish_as_now

__all__ = ["OutboxEventAdmin", "OutboxRevocationAdmin"]


class StateFilter(admin.SimpleListFilter):
    """Filters refused or waiting rows."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return the two states."""
        return [("refused", "refused"), ("waiting", "waiting")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":  # noqa: ARG002
        """Return the rows in the chosen state."""
        match self.value():
            case "refused":
                return queryset.exclude(error="")
            case "waiting":
                return queryset.filter(error="")
        return queryset


class OutboxAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of the outbox. Rows can be read, retried and deleted, but not written."""

    actions: Sequence[Any] = ("retry",)

    @admin.action(description="Send the selected refused rows again", permissions=["delete"])
    def retry(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        """Let the selected refused rows wait again."""
        count = outbox.retry(queryset.using(router.db_for_write(self.model)))
        self.message_user(request, f"{count} refused rows wait again.", messages.SUCCESS)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Refuse: nobody adds a row by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        """Refuse: nobody changes a row."""
        return False


@admin.register(OutboxEvent)
class OutboxEventAdmin(OutboxAdmin):
    """The events."""

    actions = (*OutboxAdmin.actions, "publish_as_now")
    list_display = ("id", "type", "furniture_id", "created_at", "error")
    list_filter = (StateFilter, "type")
    search_fields = ("furniture_id", "event")

    @admin.action(
        description="Publish the pieces of the selected refused rows as they are now",
        permissions=["delete"],
    )
    def publish_as_now(self, request: HttpRequest, queryset: "QuerySet[OutboxEvent]") -> None:
        """Replace refused events by events with the present values of their pieces."""
        count, others = publish_as_now(queryset.using(router.db_for_write(self.model)))
        self.message_user(request, f"{count} pieces are published as they are now.")
        if others:
            names = ", ".join(others)
            message = f"These pieces have no row that can be published: {names}."
            self.message_user(request, message, messages.WARNING)


@admin.register(OutboxRevocation)
class OutboxRevocationAdmin(OutboxAdmin):
    """The revocations."""

    list_display = ("id", "sub", "created_at", "error")
    list_filter = (StateFilter,)
    search_fields = ("sub",)
