"""Log lines: one line for each event, safe against hostile text, without credentials."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from sio_server import logs
from tests.support.pages import ROOT, blocks

Configure = Callable[..., io.StringIO]


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Configure the log to a stream of the test, and restore the configuration afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def configure(
        log_format: str = "json", log_level: str = "info", stream: io.StringIO | None = None
    ) -> io.StringIO:
        stream = stream or io.StringIO()
        logs.configure(log_format, log_level, stream)
        return stream

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def only_line(stream: io.StringIO) -> str:
    """Return the one line of the stream."""
    (line,) = stream.getvalue().splitlines()
    return line


def test_json_is_one_object_a_line(configure: Configure) -> None:
    """It has the event's name, the level, the time and the pairs."""
    stream = configure("json")
    logs.get_logger("t.json").info("received", type="furniture_created", count=3, ok=True)
    line = json.loads(only_line(stream))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "message": "received",
        "level": "info",
        "type": "furniture_created",
        "count": 3,
        "ok": True,
    }


RESERVED = {
    "host",
    "service",
    "source",
    "status",
    "message",
    "level",
    "timestamp",
    "date",
    "ddtags",
}
"""Datadog takes them for the machine, the program, the severity and so on."""


def test_no_pair_has_a_name_that_datadog_takes_for_its_own() -> None:
    """The address that a server listens on would become the name of its machine."""
    used = set()
    for file in Path(logs.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."):
                used |= {keyword.arg for keyword in node.keywords}
    assert {"address", "by", "offset"} < used
    assert not used & RESERVED


def test_the_lines_of_the_documentation_are_as_shown(configure: Configure) -> None:
    """``docs/logs.md`` shows one line in both formats; only the time is another."""
    page = ROOT / "docs/logs.md"
    (line,) = blocks("text", page)
    (text,) = blocks("json", page)
    shown = json.loads(text)
    for log_format, expected in (("console", line), ("json", text)):
        stream = configure(log_format)
        pairs = {name: shown[name] for name in list(shown)[3:]}
        logs.get_logger(f"t.shown.{log_format}").info(shown["message"], **pairs)
        time = re.compile(r"\d{4}-\S+?Z")
        assert time.sub("", only_line(stream)) == time.sub("", expected.strip())


def test_ids_tie_lines_together(configure: Configure) -> None:
    """Also the lines of libraries, while a request or a command is handled."""
    stream = configure("json")
    tokens = logs.request_id.set("r1"), logs.connection_id.set("c1")
    logs.get_logger("t.tied").info("received")
    logging.getLogger("t.library").warning("bad")
    logs.connection_id.reset(tokens[1])
    logs.request_id.reset(tokens[0])
    logs.get_logger("t.tied").info("received", connection="c2")
    ids = [
        (line.get("request"), line.get("connection"))
        for line in map(json.loads, stream.getvalue().splitlines())
    ]
    assert ids == [("r1", "c1"), ("r1", "c1"), (None, "c2")]


@pytest.mark.parametrize(
    ("event", "mark"),
    [
        ("connected", "✅"),
        ("disconnected", "❌"),
        ("received", "📥"),
        ("delivered", "📨"),
        ("dead_connection_removed", "🧹"),
    ],
)
def test_the_console_shows_the_marks(event: str, mark: str, configure: Configure) -> None:
    """The mark is in front of the event's name. JSON has no marks."""
    stream = configure("console")
    logs.get_logger("t.mark").info(event, clients=3)
    assert f"{mark} {event} " in only_line(stream)
    assert "clients=3" in only_line(stream)
    stream = configure("json")
    logs.get_logger("t.no_mark").info(event)
    assert json.loads(only_line(stream))["message"] == event


def test_other_events_have_no_mark(configure: Configure) -> None:
    """Only five events have marks."""
    stream = configure("console")
    logs.get_logger("t.plain").info("listening", port=8765)
    assert not any(mark in only_line(stream) for mark in logs.MARKS.values())


def test_a_stream_that_is_no_terminal_gets_no_colours(configure: Configure) -> None:
    """Escape sequences make a file hard to read."""
    stream = configure("console")
    logs.get_logger("t.colour").warning("listening", host="h")
    assert "\x1b" not in stream.getvalue()


HOSTILE = [
    "a\nforged",
    "a\r\nforged",
    "\x1b[2J",
    "\x00",
    "\x85",
    "\u2028",
    "\u202e",
    "\ud800",
    "\x9b",
]


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_stays_on_its_line(value: str, log_format: str, configure: Configure) -> None:
    """No text of a client ends the line or moves the terminal's cursor."""
    stream = configure(log_format)
    logs.get_logger(f"t.hostile.{log_format}").info("received", id=value)
    assert only_line(stream).isprintable()


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("value", HOSTILE)
def test_a_message_of_a_library_stays_on_its_line(
    value: str, log_format: str, configure: Configure
) -> None:
    """A library may quote the text of a client."""
    stream = configure(log_format)
    logging.getLogger("t.library").warning("bad request %s", value)
    assert only_line(stream).isprintable()


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_value_is_bounded(log_format: str, configure: Configure) -> None:
    """200 characters are shown whole. Longer text is cut, and ends with a mark."""
    stream = configure(log_format)
    log = logs.get_logger(f"t.long.{log_format}")
    log.info("received", id="x" * 200)
    assert "x" * 200 in stream.getvalue()
    assert "…" not in stream.getvalue()
    log.info("received", id="y" * 10_000)
    assert "y" * 200 + "…" in stream.getvalue()
    assert "y" * 201 not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_message_of_a_library_is_bounded(log_format: str, configure: Configure) -> None:
    """It is bounded even if escapes make it longer."""
    stream = configure(log_format)
    logging.getLogger("t.library").warning("%s", "\n" * 100_000)
    assert len(stream.getvalue()) < 5_000


@pytest.mark.parametrize("value", ["ñandú 😀", "a b", "Mesa de Roble"])
def test_printable_text_is_not_escaped(value: str, configure: Configure) -> None:
    """People read the log, and Spanish needs more letters than ASCII has."""
    stream = configure("json")
    logs.get_logger("t.readable").info("received", material=value)
    assert f'"{value}"' in only_line(stream)


@pytest.mark.parametrize(
    ("least", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_not_written(
    least: str, shown: list[str], configure: Configure
) -> None:
    """This holds for our lines and for those of libraries."""
    for log in (logs.get_logger(f"t.level.{least}"), logging.getLogger("t.library")):
        stream = configure("json", least)
        for level in ("debug", "info", "warning", "error"):
            getattr(log, level)("event")
        assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == shown


def test_configuring_again_leaves_one_handler(configure: Configure) -> None:
    """Otherwise every line would be written twice."""
    first, second = configure(), configure()
    logging.getLogger("t.library").warning("once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def fail(credential: str) -> None:
    """Fail in a frame whose variable is a credential."""
    raise ValueError(f"a credential of {len(credential)} characters")


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("ours", [True, False], ids=["ours", "a library's"])
def test_a_traceback_shows_no_values_of_variables(
    log_format: str, ours: bool, configure: Configure
) -> None:
    """A variable may hold a credential, which never appears in the log."""
    stream = configure(log_format)
    log = logs.get_logger(f"t.failure.{log_format}") if ours else logging.getLogger("t.library")
    secret = f"hunter-{1 + 1}"  # so that no source line in the traceback shows it
    try:
        fail(secret)
    except ValueError:
        log.exception("handler_failed")
    assert "handler_failed" in stream.getvalue()
    assert "a credential of 8 characters" in stream.getvalue()
    assert "hunter-2" not in stream.getvalue()


def test_a_failure_is_one_line_of_json(configure: Configure) -> None:
    """The traceback is a value of the object."""
    stream = configure("json")
    log = logs.get_logger("t.failure.line")
    try:
        fail("x")
    except ValueError:
        log.exception("handler_failed")
    assert "Traceback" in json.loads(only_line(stream))["exception"]


@pytest.fixture
def server_log() -> Iterator[logging.Logger]:
    """Return aiohttp's logger, and remove its filters afterwards."""
    logger = logs.server_logger()
    yield logger
    for log_filter in list(logger.filters):
        logger.removeFilter(log_filter)


@pytest.mark.parametrize(("level", "lines"), [("info", 0), ("debug", 1)])
def test_a_bad_request_is_one_debug_line_without_traceback(
    level: str, lines: int, configure: Configure, server_log: logging.Logger
) -> None:
    """Any client can send bad requests, as many as it likes."""
    stream = configure("json", level)
    try:
        fail("x")
    except ValueError as error:
        server_log.error("Error handling request from %s", "192.0.2.1\n", exc_info=error)
    lines_written = stream.getvalue().splitlines()
    assert len(lines_written) == lines
    assert all(json.loads(line)["level"] == "debug" for line in lines_written)
    assert "Traceback" not in stream.getvalue()


class _CountedWrites(io.StringIO):
    """A stream that counts the calls that write to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        """Count, and take the text."""
        self.writes += 1
        return super().write(text)


async def test_lines_of_an_iteration_of_the_loop_are_written_together(
    configure: Configure,
) -> None:
    """They wait for its end. A line of the standard library keeps its place among them."""
    stream = configure("json", stream=_CountedWrites())
    log = logs.get_logger("t.together")
    log.info("first")
    log.info("second")
    assert stream.getvalue() == ""
    await asyncio.sleep(0)
    assert stream.writes == 1
    log.info("third")
    logging.getLogger("t.library").warning("fourth")
    log.info("fifth")
    await asyncio.sleep(0)
    names = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
    assert names == ["first", "second", "third", "fourth", "fifth"]


def test_a_line_of_another_thread_does_not_wait(configure: Configure) -> None:
    """No event loop runs there."""
    stream = configure("json")
    thread = threading.Thread(target=logs.get_logger("t.thread").info, args=("from a thread",))
    thread.start()
    thread.join()
    assert json.loads(only_line(stream))["message"] == "from a thread"
