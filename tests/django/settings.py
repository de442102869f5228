"""The Django settings of a small site, with mapped models of every kind.

A test can run a part of the site as a process. Then two environment variables, in JSON, give its
database (``SITE_DATABASE``) and other values for its setting (``SITE_FURNITURE_EVENTS``).
"""

import json
import os

try:  # Django's backend for MariaDB imports mysqlclient; PyMySQL can take its place
    import MySQLdb  # noqa: F401
except ImportError:
    import pymysql

    pymysql.install_as_MySQLdb()

SECRET_KEY = "not-a-secret"
USE_TZ = True
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
DATABASES = {
    "default": json.loads(
        os.environ.get(
            "SITE_DATABASE", '{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}'
        )
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING_CONFIG = None
STATIC_URL = "/static/"
ROOT_URLCONF = "tests.django.urls"
INSTALLED_APPS = [
    "modeltranslation",  # before the admin, as its documentation says
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "reversion",
    "furniture_events.django",
    "tests.django.catalog",
    "parler",
    "safedelete",
    "tests.django.showroom",
]
LANGUAGE_CODE = "en"
PARLER_ENABLE_CACHING = False
MODELTRANSLATION_LANGUAGES = ("es", "en")
MODELTRANSLATION_DEFAULT_LANGUAGE = "es"
PARLER_LANGUAGES = {None: ({"code": "en"}, {"code": "es"}), "default": {"fallbacks": []}}
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

FURNITURE_EVENTS = {
    "URL": "http://127.0.0.1:9",  # no broker: a test that sends overrides it
    "KEY": "a-key-of-a-producer",
    "MODELS": {
        "catalog.Mueble": {"autor_username": "autor__username"},
        "catalog.Lampara": "tests.django.catalog.models.lamp_as_furniture",
        "catalog.Sofa": {
            "autor_username": "autor__username",
            "plazas": "plazas",
            "detalles": "detalles",
        },
        "catalog.Silla": {"autor_username": "autor__username"},
        "catalog.Estante": {"autor_username": "autor__username"},
        "catalog.Armario": "tests.django.catalog.models.wardrobe_as_furniture",
        "catalog.Pieza": {
            "nombre": "name",
            "descripcion": "text",
            "altura": "height",
            "ancho": "width",
            "autor_username": "maker__user__username",
            "precio": "price",
        },
        "showroom.Vitrina": {
            "autor_username": "autor__username",
            "montaje": "montaje",
            "PUBLISH_IF": "publicada",
        },
        "showroom.Baul": {"autor_username": "autor__username", "PUBLISH_IF": "deleted__isnull"},
        "showroom.Florero": {"autor_username": "autor__username", "otro": "nombre_es"},
        "showroom.Jarron": "tests.django.showroom.models.vase_as_furniture",
        "showroom.Espejo": "tests.django.showroom.models.mirror_as_furniture",
        "showroom.Biombo": {
            "autor_username": "autor__username",
            "taller": "taller__nombre",
            "revisor": "revisor__nombre",
            "escuela": "taller__escuela__nombre",
        },
        "showroom.Tapiz": "tests.django.showroom.models.tapestry_as_furniture",
    },
    "RELATED": {
        "showroom.Taller": ["biombo", "revisados", "tapiz"],
        "showroom.Escuela": "taller__biombo",
        "showroom.Encargo": "tapiz",
        "showroom.Premio": "tapiz",
        "showroom.EspejoTranslation": "master",
        "catalog.Acabado": "armario",
        "catalog.Armario": "conjunto",
    },
    **json.loads(os.environ.get("SITE_FURNITURE_EVENTS", "{}")),
}
