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
        """Register the checks, and watch the mapped models and the users."""
        from furniture_events.django import checks, revoking, saving  # noqa: PLC0415 - models exist now

        checks.register()
        saving.watch()
        revoking.watch_users()
