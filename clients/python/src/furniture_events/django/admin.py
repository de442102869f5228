"""The outbox in the admin: waiting events, refused events with their errors, and a retry."""

from typing import Any

from django.contrib import admin, messages
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest

from furniture_events.django import outbox
from furniture_events.django.models import OutboxEvent

__all__ = ["OutboxEventAdmin"]


class StateFilter(admin.SimpleListFilter):
    """Filters refused or waiting events."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return the two states."""
        return [("refused", "refused"), ("waiting", "waiting")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":  # noqa: ARG002
        """Return the events in the chosen state."""
        match self.value():
            case "refused":
                return queryset.exclude(error="")
            case "waiting":
                return queryset.filter(error="")
        return queryset


@admin.register(OutboxEvent)
class OutboxEventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of the outbox. Events can be read, retried and deleted, but not written."""

    list_display = ("id", "type", "furniture_id", "created_at", "error")
    list_filter = (StateFilter, "type")
    search_fields = ("furniture_id", "event")
    actions = ("retry",)

    @admin.action(description="Publish the selected refused events again", permissions=["delete"])
    def retry(self, request: HttpRequest, queryset: "QuerySet[OutboxEvent]") -> None:
        """Let the selected refused events wait again."""
        count = outbox.retry(queryset.using(router.db_for_write(OutboxEvent)))
        self.message_user(request, f"{count} refused events wait again.", messages.SUCCESS)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Refuse: nobody adds an event by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        """Refuse: nobody changes an event."""
        return False
