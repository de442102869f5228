"""The template tags of live pages, after ``{% load furniture_events %}``.

``{% furniture_events_live %}`` keeps a page live. ``{% furniture_events %}`` is for pages with a
script of their own.
"""

from typing import Any

from django import template
from django.utils.html import json_script
from django.utils.safestring import SafeString

from furniture_events.django.live_script import live_script, request_of
from furniture_events.django.page import describe

register = template.Library()


@register.simple_tag(takes_context=True)
def furniture_events_live(context: dict[str, Any]) -> SafeString:
    """Emit the script that keeps the page's lists current, and tells other scripts of events."""
    return live_script(context)


@register.simple_tag(takes_context=True)
def furniture_events(context: dict[str, Any]) -> SafeString:
    """Emit the script ``furniture-events``: JSON with ``url``, ``since`` and ``token``."""
    return json_script(describe(request_of(context)), "furniture-events")
