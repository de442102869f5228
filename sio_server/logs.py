"""The server's log lines: an event name and key=value pairs.

Values that a client chose are bounded and escaped, so that they stay on their line. Credentials and
recovery ids are never passed to this module.

As JSON, a line is one object with ``timestamp`` (ISO 8601, UTC), ``level`` and ``message`` (the
event name). Loki and Datadog read these names without any configuration. No pair has one of the
names that they take for their own, such as ``host``.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import re
import sys
import time
from collections.abc import Sequence
from contextvars import ContextVar
from threading import Lock
from typing import Any, TextIO

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


_LEVELS = {"warn": "warning", "exception": "error"}

_clock = (0, "")  # a second since 1970, and how lines show it


def _timestamp() -> str:
    """Return the time in ISO 8601, UTC. The whole second is formatted once."""
    global _clock  # noqa: PLW0603
    second, nanoseconds = divmod(time.time_ns(), 10**9)
    if _clock[0] != second:
        _clock = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
    return f"{_clock[1]}.{nanoseconds // 1000:06d}Z"


def _safe(value: Any) -> Any:
    """Bound a value, and escape characters that would break the line or control the terminal."""
    if type(value) is not str:
        return value
    if len(value) > MAX_VALUE_CHARACTERS:
        value = value[:MAX_VALUE_CHARACTERS] + "…"
    return value if value.isprintable() else value.encode("unicode_escape").decode()


# Each of the two renders a line in one step. A chain of structlog's own processors takes two to
# four times as long, and each connection and each event has a line or two.


def json_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Render a line as JSON."""
    exception = _take_exception(logger, method, event)
    pairs = {
        "timestamp": _timestamp(),
        "level": _LEVELS.get(method, method),
        "message": event.pop("event"),
    }
    for name, value in event.items():
        pairs[name] = _safe(value)
    if exception:
        pairs["exception"] = exception
    return _encode(pairs)


class ConsoleLine:
    """Renders a line for people.

    Args:
        colors: the output is a terminal.
    """

    def __init__(self, *, colors: bool) -> None:
        self._dim, self._bold, self._blue, self._plain = (
            ("\x1b[2m", "\x1b[1m", "\x1b[36m", "\x1b[0m") if colors else ("", "", "", "")
        )
        self._levels = _LEVEL_COLORS if colors else {}

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        """Render a line. A traceback follows on lines of its own."""
        exception = _take_exception(logger, method, event)
        dim, bold, blue, plain = self._dim, self._bold, self._blue, self._plain
        level, name = _LEVELS.get(method, method), event.pop("event")
        mark = MARKS.get(name)
        title = name if mark is None else f"{mark} {name}"
        pairs = [f"{blue}{key}{plain}={_quoted(_safe(value))}" for key, value in event.items()]
        line = (
            f"{dim}{_timestamp()}{plain} [{self._levels.get(level, '')}{level:<9}{plain}] "
            f"{bold}{title:<30}{plain} {' '.join(pairs)}"
        )
        return f"{line}\n{exception}" if exception else line.rstrip()


_LEVEL_COLORS = {
    "debug": "\x1b[32m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31m",
}


_ONE_WORD = re.compile(r"""[^ ='"]+""")


def _quoted(value: Any) -> str:
    """Show a value of a console's line, so that one sees where it ends."""
    text = str(value)
    return text if _ONE_WORD.fullmatch(text) else repr(text)


def _take_exception(logger: WrappedLogger, method: str, event: EventDict) -> str | None:
    """Return the traceback that belongs to a line, without the values of variables."""
    if "exc_info" not in event:
        return None
    taken = structlog.processors.format_exc_info(logger, method, event)
    exception: str | None = taken.pop("exception", None)
    return exception


class _Output:
    """The stream of all lines. An iteration of the event loop writes its lines in one system call.

    A server under load writes a line for each request and each connection, and a system call for
    each of them would take as long as the line. If the process is killed, the lines of its last
    iteration are lost.

    Args:
        stream: gets the text.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._lock = Lock()  # the event log's thread writes lines, too

    def msg(self, line: str) -> None:
        """Write a line: now if no event loop runs here, and otherwise at the end of its iteration.

        While other lines wait, it waits with them.
        """
        with self._lock:
            self._lines.append(line + "\n")
            is_first = len(self._lines) == 1
        if is_first:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()

    debug = info = warning = error = critical = exception = msg  # structlog calls these

    def write(self, text: str) -> None:
        """Take a part of a line of the standard library, which then calls ``flush``."""
        with self._lock:
            self._lines.append(text)

    def flush(self) -> None:
        """Write all lines that wait."""
        with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()


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
    stream = stream or sys.stderr
    output = _Output(stream)
    atexit.register(output.flush)
    shared: list[Processor] = [add_ids, *processors]
    line: Processor = json_line if log_format == "json" else ConsoleLine(colors=stream.isatty())
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _one_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, line],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level.upper())
    # The server's own lines bypass the standard library, which is slower: each connection and each
    # event has two lines.
    structlog.configure(
        processors=[*shared, line],
        logger_factory=lambda *names: output,
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=True,
    )


_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode


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
