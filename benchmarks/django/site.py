"""The site's only view. It saves a piece and does nothing else, so a request costs one save."""

from __future__ import annotations

import itertools
import os

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.django.settings")
application = get_wsgi_application()

from benchmarks.django.catalog.models import Mueble  # noqa: E402 - models exist from here on

_numbers = itertools.count(1)


def save(request: HttpRequest) -> HttpResponse:
    """Change the one piece and save it."""
    piece = Mueble.objects.get(pk=1)
    piece.ancho = next(_numbers)
    piece.save()
    return HttpResponse(status=204)


urlpatterns = [path("save", save)]
