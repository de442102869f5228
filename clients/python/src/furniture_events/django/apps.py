"""The Django app. Its `ready` only wires: the checks, and the saves and deletes that it sees."""

from django.apps import AppConfig

__all__ = ["FurnitureEventsConfig"]


class FurnitureEventsConfig(AppConfig):
    """`furniture_events.django` in `INSTALLED_APPS`."""

    name = "furniture_events.django"
    label = "furniture_events"
    verbose_name = "Furniture events"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks, and see what happens to the mapped models."""
        from furniture_events.django import checks, saving  # noqa: PLC0415 - models are ready now

        checks.register()
        saving.watch()
