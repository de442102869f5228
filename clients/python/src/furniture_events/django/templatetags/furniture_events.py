"""The tag ``{% furniture_events %}``, after ``{% load furniture_events %}``."""

from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.utils.html import json_script
from django.utils.safestring import SafeString

from furniture_events.django.page import describe

register = template.Library()


@register.simple_tag(takes_context=True)
def furniture_events(context: dict[str, Any]) -> SafeString:
    """Emit the script ``furniture-events``: JSON with ``url``, ``since`` and ``token``."""
    if "request" not in context:
        raise ImproperlyConfigured(
            "{% furniture_events %} needs the context processor "
            "django.template.context_processors.request, and render() with a request."
        )
    return json_script(describe(context["request"]), "furniture-events")
