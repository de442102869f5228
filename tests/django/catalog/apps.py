"""The test site's only app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """The app ``catalog``, with a label like a site's own app."""

    name = "tests.django.catalog"
    label = "catalog"
