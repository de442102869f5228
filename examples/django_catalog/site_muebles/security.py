"""The Content Security Policy: no inline code, and connections only to the site and its broker."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Answer = Callable[[HttpRequest], HttpResponse]


def content_security_policy(get_response: Answer) -> Answer:
    """Add the policy to each response, except to the error pages of ``DEBUG``."""
    broker = settings.FURNITURE_EVENTS["URL"]
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src 'self' {broker} {broker.replace('http', 'ws', 1)}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )

    def add_policy(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not (settings.DEBUG and response.status_code >= 400):  # Django's error pages have styles
            response.headers.setdefault("Content-Security-Policy", policy)
        return response

    return add_policy
