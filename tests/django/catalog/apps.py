"""The test site's one app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Named as a site's own app would be."""

    name = "tests.django.catalog"
    label = "catalog"
