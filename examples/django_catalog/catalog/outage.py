"""A button that kills the broker, to see how open pages recover. Only with ``DEBUG``."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST


@require_POST
def stop_broker(request: HttpRequest) -> HttpResponse:
    """Kill the process whose id is in ``BROKER_PID_FILE``, as ``kill -9`` does.

    The answer has no content, so that the browser stays on its page. A broker that has ended
    already is no error.

    Raises:
        Http404: ``DEBUG`` is off, or the setting is None.
    """
    if not settings.DEBUG or settings.BROKER_PID_FILE is None:
        raise Http404
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(Path(settings.BROKER_PID_FILE).read_text("ascii")), signal.SIGKILL)
    return HttpResponse(status=204)
