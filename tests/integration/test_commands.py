"""The commands that talk to a running server, on real servers."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sio_server.commands.client import Client, ServerError, printable
from sio_server.commands.program import program
from sio_server.commands.tail import follow
from sio_server.contract.errors import StartError
from tests.conftest import load_vectors
from tests.support.certificates import write_certificate
from tests.support.server import ROOT, TIMEOUT, Server, wait_until

EVENT = load_vectors("events.json")[0]["publish"]
KEY = "the-key-of-the-catalogue"
FIELDS = [f"{name}={value}" for name, value in EVENT["furniture"].items()]

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server on which only producer keys may publish."""
    folder = tmp_path_factory.mktemp("server")
    running = Server(folder, open_publish="off", producer_keys=f"django:{KEY}")
    yield running
    assert running.stop() == 0


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("SIO_"):
            monkeypatch.delenv(name)


@pytest.fixture
def run(server: Server) -> Run:
    """Return a function that runs a command, on the server unless it names another one."""

    def run(*arguments: object, stdin: str = "", **variables: str) -> Result:
        given = {"SIO_URL": server.url, "SIO_CREDENTIAL": KEY, **variables}
        words = [str(it) for it in arguments]
        return CliRunner().invoke(program, words, stdin, {n: v for n, v in given.items() if v})

    return run


def lines(count: int, first: int = 0) -> str:
    """Return events as lines of JSON."""
    pieces = ({**EVENT["furniture"], "furniture_id": f"p{first + it}"} for it in range(count))
    events = ({"type": "furniture_updated", "furniture": piece} for piece in pieces)
    return "".join(json.dumps(event) + "\n" for event in events)


def test_an_event_from_arguments_is_published(run: Run) -> None:
    """The answer is its offset, which is now the position. Numbers are numbers, := is JSON."""
    before = run("position").stdout.strip()
    result = run("publish", EVENT["type"], *FIELDS, "patas:=[4]", "nota=5", "--id", "one")
    assert result.exit_code == 0, result.output
    assert run("position").stdout == result.stdout
    shown = json.loads(run("tail", "--since", before, "-n1", "--json").stdout)
    furniture = {**EVENT["furniture"], "patas": [4], "nota": "5"}
    assert shown["furniture"] == furniture
    assert (shown["id"], shown["offset"]) == ("one", result.stdout.strip())
    again = run("publish", EVENT["type"], *FIELDS, "patas:=[4]", "nota=5", "--id", "one")
    assert again.stdout == result.stdout
    assert "published before" in again.stderr


def test_lines_are_published_and_a_second_attempt_changes_nothing(run: Run, tmp_path: Path) -> None:
    """A file and standard input are the same. A bad line does not affect the others."""
    file = tmp_path / "events.jsonl"
    file.write_text(f"{lines(2)}nonsense\n\n{lines(1, 2)}{{}}\n")
    before = run("position").stdout.strip()
    result = run("publish", "--file", file, "--id-prefix", "import")
    assert result.exit_code == 1
    *refusals, summary = result.stderr.splitlines()
    assert refusals[0] == "line 3: not an object in JSON"
    assert refusals[1].startswith("line 6: ")
    assert summary == "3 published, 2 refused"
    again = run("publish", "--id-prefix", "import", "--json", stdin=file.read_text())
    answers = [json.loads(line) for line in again.stdout.splitlines()]
    assert [(it["line"], it["ok"]) for it in answers] == [
        *((1, True), (2, True), (3, False), (5, True), (6, False))
    ]
    assert {it["duplicate"] for it in answers if it["ok"]} == {True}
    shown = run("tail", "--since", before, "-n3", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in shown] == ["import-1", "import-2", "import-5"]


def test_many_lines_have_a_progress_bar_on_a_terminal(server: Server, tmp_path: Path) -> None:
    """It shows how many events are published. Other output has no bar."""
    file = tmp_path / "events.jsonl"
    file.write_text(lines(1200))
    environment = {**os.environ, "SIO_URL": server.url, "SIO_CREDENTIAL": KEY}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sio_server", "publish", "-f", str(file)]
    environment["PYTHONPATH"] = str(ROOT)
    with subprocess.Popen(command, env=environment, stderr=theirs, stdout=theirs) as process:
        os.close(theirs)
        screen = b""
        while True:
            try:
                screen += os.read(ours, 4096)
            except OSError:  # the end, on Linux
                break
        assert process.wait(TIMEOUT) == 0
    os.close(ours)
    shown = screen.decode()
    assert "1,200 published  [####" in shown
    assert "100%" in shown
    assert shown.rstrip().endswith("1,200 published")


def test_a_line_of_a_pipe_is_published_at_once(server: Server, tmp_path: Path) -> None:
    """The other program may write the next line much later."""
    readable, writable = os.pipe()
    command = [sys.executable, "-m", "sio_server", "publish"]
    variables = {"SIO_URL": server.url, "SIO_CREDENTIAL": KEY, "PYTHONPATH": str(ROOT)}
    client = Client(server.url, KEY)
    before = client.call("/api/events", limit=0)["position"]
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, env=environment, stdin=readable) as process:
        os.close(readable)
        for number in (1, 2):
            os.write(writable, lines(1, number).encode())
            wait_until(
                lambda n=number: len(client.call("/api/events", since=before)["events"]) == n,
                f"line {number} is published",
            )
        os.close(writable)
        assert process.wait(TIMEOUT) == 0


def test_publishing_tries_again_until_the_server_is_back(tmp_path: Path) -> None:
    """The ids stay the same, so that no event is published twice."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    results: list[Result] = []
    words = ["publish", "--url", f"http://127.0.0.1:{port}"]
    publishing = threading.Thread(
        target=lambda: results.append(CliRunner().invoke(program, words, lines(3)))
    )
    publishing.start()
    server = Server(tmp_path, port=port)
    publishing.join(TIMEOUT)
    assert results[0].stderr.strip().endswith("3 published")
    assert server.stop() == 0


def test_the_lines_of_a_failed_attempt_can_be_continued(run: Run) -> None:
    """The message has the prefix."""
    result = run("publish", "--patience", "0", stdin=lines(1), SIO_URL="http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "0 published" in result.stderr
    assert "can't be reached: Connection refused; is it running?" in result.stderr
    assert "use the same lines with --id-prefix " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["publish", EVENT["type"], "nombre"], "'nombre' is not FIELD=VALUE"),
        (["publish", EVENT["type"], "x:=y"], "the value after := is not JSON"),
        (["publish", EVENT["type"], "-f", "-"], "--file and --id-prefix are for lines"),
        (["publish", "--id", "1"], "--id needs a TYPE"),
        (["position", "--url", "ftp://x"], "is not the URL of a server"),
        (["position", "--url", "http://x:port"], "is not the URL of a server"),
        (["position", "--url", "http://x/#y"], "is not the URL of a server"),
        (["position", "--url", "http://a:b@x"], "must not have a password"),
    ],
)
def test_a_bad_argument_is_named(run: Run, arguments: list[str], text: str) -> None:
    """The exit status is 2, as usual."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "credential", "text"),
    [
        (["publish", EVENT["type"], *FIELDS], "", "unauthorized: publishing is not allowed"),
        (["publish", EVENT["type"], *FIELDS], "a-key-that-is-wrong", "unauthorized: "),
        (["publish", EVENT["type"], "altura=x"], KEY, "furniture.altura: must be a number"),
        (["tail", "--room", "wood"], KEY, "unknown_room: "),
        (["tail", "--since", "!"], KEY, "invalid_offset: "),
    ],
)
def test_a_refusal_is_shown_and_the_status_is_one(
    run: Run, arguments: list[str], credential: str, text: str
) -> None:
    """It has the server's words, and never the credential."""
    result = run(*arguments, SIO_CREDENTIAL=credential)
    assert result.exit_code == 1
    assert text in result.stderr
    assert not credential or credential not in result.output


def test_a_credential_comes_from_a_variable_a_file_or_the_settings(
    run: Run, server: Server, tmp_path: Path
) -> None:
    """The first producer key of the settings is only for the server of the settings."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    publish = ("publish", EVENT["type"], *FIELDS)
    none = {"SIO_CREDENTIAL": ""}
    assert run(*publish, "--credential-file", file, **none).exit_code == 0
    assert run(*publish, SIO_CREDENTIAL_FILE=str(file), **none).exit_code == 0
    own = {"SIO_PORT": str(server.port), "SIO_PRODUCER_KEYS": f"django:{KEY}", **none}
    assert run(*publish, SIO_URL="", **own).exit_code == 0
    assert "unauthorized" in run(*publish, **own).stderr
    bad = run("position", SIO_CREDENTIAL="hunter2\nx")
    assert isinstance(bad.exception, StartError)
    assert "hunter2" not in str(bad.exception)
    missing = run("position", "--credential-file", tmp_path / "nothing")
    assert isinstance(missing.exception, StartError)


def test_tail_filters_by_room_and_has_colours_for_people(run: Run) -> None:
    """A program gets one JSON object a line."""
    before = run("position").stdout.strip()
    for kind in ("furniture_created", "furniture_deleted"):
        run("publish", kind, *FIELDS)
    room = "type:furniture_deleted"
    result = run("tail", "--since", before, "--room", room, "-n1", "--color")
    assert "\x1b[31m- deleted\x1b[0m" in result.stdout
    assert EVENT["furniture"]["nombre"] in result.stdout
    plain = run("tail", "--since", before, "-n2", "--no-color").stdout
    assert "\x1b" not in plain
    assert [line.split()[2] for line in plain.splitlines()] == ["created", "deleted"]
    oldest = json.loads(run("tail", "--all", "-n1", "--json").stdout)
    assert json.loads(run("position", "--json").stdout)["oldest"] != oldest["offset"]


def test_no_event_controls_the_terminal(run: Run) -> None:
    """Control characters of a producer are escaped. JSON stays JSON."""
    before = run("position").stdout.strip()
    name = "a\x1b]0;b\x9b\U000e0001"
    fields = [f"nombre={name}" if it.startswith("nombre=") else it for it in FIELDS]
    assert run("publish", EVENT["type"], *fields).exit_code == 0
    text = run("tail", "--since", before, "-n1", "--no-color").stdout.rstrip("\n")
    as_json = run("tail", "--since", before, "-n1", "--json").stdout.rstrip("\n")
    assert text.isprintable()
    assert as_json.isprintable()
    assert json.loads(as_json)["furniture"]["nombre"] == name
    assert json.loads(f'"{printable(name)}"') == name


def test_tail_survives_a_kill_of_the_server(tmp_path: Path) -> None:
    """It shows each missed event once, in order, and says what happened."""
    settings: dict[str, Any] = {"event_log": "sqlite:///events.db"}
    server = Server(tmp_path, **settings)
    client = Client(server.url)
    said: list[str] = []
    client.call("/api/events", EVENT)
    events = follow(client, (), None, said.append, everything=True)
    seen = [next(events)]
    client.call("/api/events", EVENT)
    seen.append(next(events))
    server.kill()
    again = Server(tmp_path, port=server.port, **settings)
    published = client.call("/api/events/batch", {"events": [EVENT] * 3})["results"]
    seen += [next(events) for _ in published]
    assert [it["offset"] for it in seen[2:]] == [it["offset"] for it in published]
    assert client.call("/api/events", limit=1)["events"][0]["offset"] == seen[0]["offset"]
    live = client.call("/api/events", EVENT)
    assert next(events)["offset"] == live["offset"]
    assert said[0] == f"following {server.url}, rooms: catalog"
    assert said[1].endswith("; connecting again")
    assert said[2:] == ["connected again; 3 missed events shown above"]
    assert again.stop() == 0


def test_tail_says_that_events_are_missing(tmp_path: Path) -> None:
    """The log in memory is gone after a restart."""
    server = Server(tmp_path)
    client = Client(server.url)
    said: list[str] = []
    client.call("/api/events", EVENT)
    events = follow(client, (), None, said.append, everything=True)
    next(events)
    assert server.stop() == 0
    again = Server(tmp_path, port=server.port)
    receive = threading.Thread(target=next, args=(events,), daemon=True)
    receive.start()
    wait_until(lambda: any("missing" in it for it in said), "the gap is announced")
    client.call("/api/events", EVENT)
    receive.join(TIMEOUT)
    assert again.stop() == 0


def test_the_figures_are_a_table_or_json(run: Run) -> None:
    """A client without a key, behind a proxy, gets none."""
    table = run("stats").stdout
    assert [line.split("  ")[0] for line in table.splitlines()][:3] == [
        "running for",
        "log",
        "oldest event",
    ]
    assert run("position").stdout.strip() in table
    assert json.loads(run("stats", "--json").stdout)["log"]["kind"] == "memory"


def test_a_certificate_that_is_not_trusted_ends_tail_at_once(tmp_path: Path) -> None:
    """To try again would not help."""
    files = write_certificate(tmp_path, "localhost")
    server = Server(tmp_path, tls_cert=files.certificate, tls_key=files.key)
    client = Client(server.url.replace("http:", "https:"))
    with pytest.raises(ServerError, match="certificate verify failed") as caught:
        next(follow(client, (), None, print))
    assert not caught.value.is_temporary
    check = ["--host", "127.0.0.1", "--port", str(server.port), "check"]
    tls = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    checked = CliRunner().invoke(program, [*check, *tls])
    assert "a server of this kind" in " ".join(checked.stdout.split())
    assert server.stop() == 0


def test_another_program_at_the_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers with no JSON, or redirects. No redirect and no proxy here gets the credential."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ]
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            for text in answers:
                connection, _ = other.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(text)

        thread = threading.Thread(target=answer)
        thread.start()
        client = Client(f"http://127.0.0.1:{other.getsockname()[1]}", KEY)
        with pytest.raises(ServerError, match="does not answer with JSON"):
            client.call("/api/events")
        with pytest.raises(ServerError, match="is no stream of events") as no_stream:
            next(client.stream("/api/stream"))
        with pytest.raises(ServerError, match="status 302") as redirect:
            client.call("/api/events")
        assert not no_stream.value.is_temporary
        assert not redirect.value.is_temporary
        thread.join(TIMEOUT)
