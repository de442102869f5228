"""A Django site that pushes events with Channels or with django-eventstream, as their pages advise.

uvicorn runs it. Channels has a layer in Redis (``REDIS_URL``), django-eventstream stores its events
in the database (``DATABASE``). Only one of them is used: ``PUSH`` names it.
"""

from __future__ import annotations

import json
import os
from typing import Any

import django
from django.conf import settings

PUSH = os.environ["PUSH"]
ROOM = "catalog"

settings.configure(
    SECRET_KEY="not-a-secret",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=["channels" if PUSH == "channels" else "django_eventstream"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [os.environ.get("REDIS_URL", "")]},
        }
    },
    EVENTSTREAM_STORAGE_CLASS="django_eventstream.storage.DjangoModelStorage",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL"},
        }
    },
)
django.setup()

from asgiref.sync import async_to_sync  # noqa: E402 - these need the settings
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402

application: Any = get_asgi_application()

if PUSH == "channels":
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from channels.layers import get_channel_layer
    from channels.routing import ProtocolTypeRouter, URLRouter

    class Consumer(AsyncJsonWebsocketConsumer):
        """A page that gets all events."""

        groups = (ROOM,)

        async def furniture_changed(self, message: dict[str, Any]) -> None:
            """Send an event of the group."""
            await self.send_json(message["event"])

    application = ProtocolTypeRouter(
        {
            "http": application,
            "websocket": URLRouter([path("ws/furniture/", Consumer.as_asgi())]),
        }
    )
else:
    import django_eventstream

    call_command("migrate", verbosity=0)


def publish(request: HttpRequest) -> JsonResponse:
    """Push an event, as a view does that has saved a piece."""
    event = json.loads(request.body)
    if PUSH == "channels":
        message = {"type": "furniture.changed", "event": event}
        async_to_sync(get_channel_layer().group_send)(ROOM, message)
    else:
        django_eventstream.send_event(ROOM, "message", event)
    return JsonResponse({"ok": True}, status=201)


urlpatterns = [path("api/events", publish)]
if PUSH != "channels":
    urlpatterns.append(path("events/", include(django_eventstream.urls), {"channels": [ROOM]}))
