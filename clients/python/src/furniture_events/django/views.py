"""The page's configuration as JSON, which a single-page app fetches before its list."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from furniture_events.django.page import describe

__all__ = ["configuration"]


@require_safe
@never_cache
def configuration(request: HttpRequest) -> JsonResponse:
    """Answer ``{"url", "since", "token"}``; see ``page.describe``."""
    return JsonResponse(describe(request))
