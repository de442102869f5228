"""The Django app. Its ``ready`` only registers the checks and what is watched."""

from django.apps import AppConfig

__all__ = ["FurnitureEventsConfig"]


class FurnitureEventsConfig(AppConfig):
    """The app ``furniture_events.django`` in ``INSTALLED_APPS``."""

    name = "furniture_events.django"
    label = "furniture_events"
    verbose_name = "Furniture events"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, and watch the models, the users and the migrations."""
        from furniture_events.django import (  # noqa: PLC0415 - models exist now
            checks,
            outbox,
            related,
            revoking,
            saving,
        )

        checks.register()
        saving.watch()
        related.watch()
        revoking.watch_users()
        outbox.watch_migrations(self)
