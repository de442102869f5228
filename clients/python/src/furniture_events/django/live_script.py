"""The HTML of ``furniture_events_live``: one script of this package, and no code in the page.

So a strict Content Security Policy allows it. The configuration is in attributes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from furniture_events.django.page import describe_early

__all__ = ["live_script", "request_of"]

_NAME = "furniture_events/live.js"

_FILE = Path(__file__).parent / "static" / _NAME


def live_script(context: Mapping[str, Any]) -> SafeString:
    """Return the script of a live page.

    Args:
        context: the template's variables: ``request``, and perhaps ``csp_nonce``.

    Raises:
        ImproperlyConfigured: there is no ``request``; or pages get tokens, and the site does not
            include ``furniture_events.django.urls``; or the script was not built.
    """
    if not _FILE.exists():
        raise ImproperlyConfigured(
            f"{_NAME} was not built, because this is a checkout: run make browser-client in it."
        )
    request = request_of(context)
    page = describe_early(request)
    attributes = {
        "src": static(_NAME),
        "nonce": _nonce(context, request),
        "data-url": page["url"],
        "data-since": page["since"],
        "data-token": page["token"],
        "data-refresh": None if page["token"] is None else _refresh_url(),
    }
    given = ((name, value) for name, value in attributes.items() if value is not None)
    return format_html("<script defer{}></script>", format_html_join("", ' {}="{}"', given))


def request_of(context: Mapping[str, Any]) -> HttpRequest:
    """Return the request of a template's context.

    Raises:
        ImproperlyConfigured: there is none.
    """
    request = context.get("request")
    if not isinstance(request, HttpRequest):
        raise ImproperlyConfigured(
            "The tags of furniture_events need the context processor "
            "django.template.context_processors.request, and render() with a request."
        )
    return request


def _nonce(context: Mapping[str, Any], request: HttpRequest) -> str | None:
    """Return the nonce of Django's own middleware (since 6.0), or of the package django-csp."""
    nonce = context.get("csp_nonce")
    if nonce is None:
        nonce = getattr(request, "csp_nonce", None)
    # It is made when it is read as text. Until then it may count as false.
    return None if nonce is None else str(nonce)


def _refresh_url() -> str:
    try:
        return reverse("furniture_events:configuration")
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            "FURNITURE_EVENTS['TOKEN_SECRET'] is set, so pages fetch fresh tokens. Add "
            'path("furniture-events/", include("furniture_events.django.urls")) to your URLs.'
        ) from error
