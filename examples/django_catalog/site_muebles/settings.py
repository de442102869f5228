"""The site's settings. The defaults are for a developer's machine.

Environment variables: SECRET_KEY, DEBUG (0 or 1), ALLOWED_HOSTS, CATALOG_SQLITE (a path) or
CATALOG_POSTGRES (a database's name, with PGHOST, PGPORT, PGUSER and PGPASSWORD for its server),
FURNITURE_EVENTS_URL, FURNITURE_EVENTS_KEY, FURNITURE_EVENTS_TOKEN_SECRET and BROKER_PID_FILE.
"""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]

SECRET_KEY = os.environ.get("SECRET_KEY", "for-a-developers-machine-only")
DEBUG = os.environ.get("DEBUG", "1") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "").split()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "furniture_events.django",
    "auditlog",  # who has changed what
    "catalog",
]

FURNITURE_EVENTS = {
    "URL": os.environ.get("FURNITURE_EVENTS_URL", "http://127.0.0.1:8765"),
    "KEY": os.environ.get("FURNITURE_EVENTS_KEY"),  # None: the broker must let this machine publish
    "MODELS": {"catalog.Mueble": {"autor_username": "autor__username"}},
    "MODE": "outbox",
    "TOKEN_SECRET": os.environ.get("FURNITURE_EVENTS_TOKEN_SECRET"),  # None: pages get no token
    "WAKE": "socket",
    "BACKOFF_MAX_SECONDS": 1,  # after an outage, nobody has to wait
}

if postgres := os.environ.get("CATALOG_POSTGRES"):
    DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": postgres}}
    FURNITURE_EVENTS["WAKE"] = "listen"
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("CATALOG_SQLITE", BASE_DIR / "catalog.sqlite3"),
            # Several processes write: each one waits for its turn. Reads wait for no write.
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode=WAL",
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "site_muebles.security.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
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
ROOT_URLCONF = "site_muebles.urls"
WSGI_APPLICATION = "site_muebles.wsgi.application"
STATIC_URL = "/static/"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"

LANGUAGE_CODE = "es"
LANGUAGES = [("es", "español"), ("en", "English")]
TIME_ZONE = "UTC"
USE_TZ = True

# With DEBUG, the list has a button that kills the process whose id is in this file.
BROKER_PID_FILE = os.environ.get("BROKER_PID_FILE")
