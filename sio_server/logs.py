"""The server's log lines: an event name and key=value pairs.

Values that a client chose are bounded and escaped, so that they stay on their line. Credentials and
recovery ids are never passed to this module.

As JSON, a line is one object with ``timestamp`` (ISO 8601, UTC), ``level`` and ``message`` (the
event name). Loki and Datadog read these names without any configuration. No pair has one of the
names that they take for their own, such as ``host``.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MAX_VALUE_CHARACTERS = 200
"""A longer value is cut."""

MARKS = {
    "connected": "✅",
    "disconnected": "❌",
    "received": "📥",
    "delivered": "📨",
    "dead_connection_removed": "🧹",
}
"""The console's marks for the five most frequent lines, as the original broker showed them."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The HTTP request that is handled. All its lines have the pair ``request``."""

connection_id: ContextVar[str] = ContextVar("connection_id", default="")
"""The consumer's connection whose command is executed: the pair ``connection`` of its lines."""

get_logger = structlog.get_logger


def add_ids(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add the ids that tie this line to others."""
    if request := request_id.get():
        event.setdefault("request", request)
    if connection := connection_id.get():
        event.setdefault("connection", connection)
    return event


def make_safe(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Bound each value, and escape characters that would break the line or control the terminal."""
    for key, value in event.items():
        if isinstance(value, str) and key not in ("event", "exception"):
            short = (
                value if len(value) <= MAX_VALUE_CHARACTERS else value[:MAX_VALUE_CHARACTERS] + "…"
            )
            event[key] = short if short.isprintable() else short.encode("unicode_escape").decode()
    return event


def add_mark(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put the mark in front of the event name, if it has one."""
    mark = MARKS.get(event["event"])
    if mark is not None:
        event["event"] = f"{mark} {event['event']}"
    return event


def in_order(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put the timestamp, the level and the event name first."""
    first = {name: event.pop(name) for name in ("timestamp", "level")}
    return {**first, "message": event.pop("event"), **event}


def configure(
    log_format: str, log_level: str, stream: Any = None, processors: Sequence[Processor] = ()
) -> None:
    """Write all log lines of this process, including the libraries' lines, to one stream.

    Args:
        log_format: ``console`` or ``json``.
        log_level: the lowest level that is written.
        stream: the output; None: standard error.
        processors: add further pairs to each line.
    """
    output = stream or sys.stderr
    shared: list[Processor] = [
        add_ids,
        *processors,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        make_safe,
    ]
    if log_format == "json":
        last: list[Processor] = [
            structlog.processors.format_exc_info,
            in_order,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=output.isatty(),
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,  # others show variables' values
        )
        last = [add_mark, console]
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _one_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level.upper())
    # The server's own lines bypass the standard library, which is slower: each connection and each
    # event has two lines.
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=structlog.WriteLoggerFactory(output),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=True,
    )


_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode


def _to_json(event: EventDict, **options: Any) -> str:
    return _encode(event)


def _one_line(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Keep a library's message on one line. It may quote a client."""
    text = str(event["event"])[: MAX_VALUE_CHARACTERS * 2]
    event["event"] = text if text.isprintable() else text.encode("unicode_escape").decode()
    return event


def server_logger() -> logging.Logger:
    """Return the logger for aiohttp's server, which writes no tracebacks.

    aiohttp logs a traceback for each bad request. Failures of this server's own code are logged
    before they reach aiohttp.
    """
    logger = logging.getLogger("sio_server.http")
    logger.addFilter(_without_traceback)
    return logger


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
