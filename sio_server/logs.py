"""The log: an event's name and key=value pairs, one line each.

What a client wrote is bounded and escaped before it gets here to stay on its line; credentials
and recovery ids are never passed in.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MAX_VALUE = 200
"""Characters of one value; the rest is cut."""

MARKS = {
    "connected": "✅",
    "disconnected": "❌",
    "received": "📥",
    "delivered": "📨",
    "dead_connection_removed": "🧹",
}
"""The console's marks for the five lines that a broker of furniture events lives by."""

get_logger = structlog.get_logger


def make_safe(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Escape what would leave its line or the terminal's state, and bound it."""
    for key, value in event.items():
        if isinstance(value, str) and key not in ("event", "exception"):
            short = value if len(value) <= MAX_VALUE else value[:MAX_VALUE] + "…"
            event[key] = short if short.isprintable() else short.encode("unicode_escape").decode()
    return event


def add_mark(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put the mark in front of the lines that have one."""
    mark = MARKS.get(event["event"])
    if mark is not None:
        event["event"] = f"{mark} {event['event']}"
    return event


def in_order(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Put first what every line has."""
    return {**{name: event[name] for name in ("timestamp", "level", "event")}, **event}


def configure(log_format: str, log_level: str, stream: Any = None) -> None:
    """Send this process's log, the libraries' included, to one stream in one form.

    Args:
        log_format: ``console`` or ``json``.
        log_level: the least level that is written.
        stream: standard error by default.
    """
    output = stream or sys.stderr
    shared: list[Processor] = [
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
    # Our own lines don't pass through the standard library: each connection and event has two.
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
    """Keep a library's message on one line: it may quote what a client sent."""
    text = str(event["event"])[: MAX_VALUE * 2]
    event["event"] = text if text.isprintable() else text.encode("unicode_escape").decode()
    return event


def server_logger() -> logging.Logger:
    """Return the logger for aiohttp's server: what a client's bad request did, without traceback.

    Our own failures are logged, with theirs, before they reach aiohttp.
    """
    logger = logging.getLogger("sio_server.http")
    logger.addFilter(_without_traceback)
    return logger


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
