"""The functions of live pages for Jinja2.

Add ``"extensions": ["furniture_events.django.jinja.FurnitureEvents"]`` to the ``OPTIONS`` of
Django's Jinja2 backend. Then ``{{ furniture_events_live() }}`` is what the tag is in a template of
Django.
"""

from django.utils.html import json_script
from django.utils.safestring import SafeString
from jinja2 import Environment, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

from furniture_events.django.live_script import live_script, request_of
from furniture_events.django.page import describe

__all__ = ["FurnitureEvents"]


class FurnitureEvents(Extension):
    """Adds ``furniture_events_live()`` and ``furniture_events()`` to all templates."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals["furniture_events_live"] = _furniture_events_live
        environment.globals["furniture_events"] = _furniture_events


@pass_context
def _furniture_events_live(context: Context) -> SafeString:
    return live_script(context.get_all())


@pass_context
def _furniture_events(context: Context) -> SafeString:
    return json_script(describe(request_of(context.get_all())), "furniture-events")
