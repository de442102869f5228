"""The second app of the test site."""

from django.apps import AppConfig


class ShowroomConfig(AppConfig):
    """The app ``showroom``."""

    name = "tests.django.showroom"
    label = "showroom"
