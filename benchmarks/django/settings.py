"""A site with one model and one view. The environment has its database and the app's setting."""

from __future__ import annotations

import json
import os

SECRET_KEY = "not-a-secret"
USE_TZ = True
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {"default": json.loads(os.environ["SITE_DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "benchmarks.django.site"
WSGI_APPLICATION = "benchmarks.django.site.application"
INSTALLED_APPS = ["benchmarks.django.catalog"]

if setting := os.environ.get("SITE_EVENTS"):
    INSTALLED_APPS.append("furniture_events.django")
    FURNITURE_EVENTS = {"KEY": None, "MODELS": {"catalog.Mueble": {}}, **json.loads(setting)}
