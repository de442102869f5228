"""The test site's only app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """The app ``catalog``, with a label like a site's own app."""

    name = "tests.django.catalog"
    label = "catalog"

    def ready(self) -> None:
        """Publish the pieces whose relations change."""
        from furniture_events.django import publish_on_m2m

        from tests.django.catalog.models import Armario

        publish_on_m2m(Armario.acabados)
        publish_on_m2m(Armario.herrajes)
        publish_on_m2m(Armario.conjunto)
        publish_on_m2m(Armario.coleccion_set)
