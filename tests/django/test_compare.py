"""``manage.py publish_furniture --compare`` compares the rows with a real broker's log."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import loopback
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from furniture_events import Producer
from furniture_events.django import chunks, comparing, paused
from furniture_events.django.models import OutboxEvent

from tests.django.catalog.models import Lampara, Mueble, Sofa
from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.showroom.models import Vitrina
from tests.django.test_mapping import VALUES
from tests.support.pages import ROOT, blocks
from tests.support.server import Server

StartServer = Callable[..., Server]

KEY = "the-key-of-the-site"


def compare(*options: str) -> tuple[list[str], str]:
    """Compare; return the lines, and the error of the command, if there is one."""
    out = io.StringIO()
    try:
        call_command("publish_furniture", "--compare", *options, stdout=out)
    except CommandError as error:
        return out.getvalue().splitlines(), str(error)
    return out.getvalue().splitlines(), ""


@pytest.fixture
def site(autor: User, start_server: StartServer) -> Any:
    """Use a broker that needs a credential for everything; return its URL."""
    server = start_server(producer_keys=KEY, require_auth="true")
    with override_setting(URL=server.url, KEY=KEY):
        yield server


def relay() -> None:
    """Send the waiting events."""
    call_command("relay_furniture_events", once=True, verbosity=0)


def test_equal_rows_are_counted(site: Server, autor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over chunks of rows, with a child, numbers of each kind, and deleted and hidden pieces."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    for number in range(4):
        mueble(autor, altura=f"{number}.50", ancho=number, nombre="ñ€😀 \u2028").save()
    Sofa.objects.create(
        **VALUES, autor=autor, detalles={"a": [1, 1.0, True, None, 1e20, 12345678901234567890]}
    )
    mueble(autor).save()
    Mueble.objects.order_by("pk").last().delete()  # type: ignore[union-attr]
    cabinet = Vitrina.objects.create(**VALUES, autor=autor)
    cabinet.publicada = False
    cabinet.save()
    relay()
    assert compare() == (["equal=5 different=0 waiting=0 not_in_log=0"], "")
    piece = Mueble.objects.earliest("pk")
    piece.material = "pino"
    piece.save()
    relay()
    assert compare("--model", "catalog.Mueble") == (
        ["equal=5 different=0 waiting=0 not_in_log=0"],
        "",
    )


def test_each_difference_has_a_line(site: Server, autor: User) -> None:
    """The command fails, and says what to do."""
    pieces = [mueble(autor, nombre=nombre) for nombre in "abcd"]
    for piece in pieces:
        piece.save()
    cabinet = Vitrina.objects.create(**VALUES, autor=autor)
    relay()
    changed, gone, back, _ = pieces
    Mueble.objects.filter(pk=changed.pk).update(material="pino", ancho=5)
    gone_key, back_key = gone.pk, back.pk
    back.delete()
    relay()
    with paused():
        gone.delete()
        mueble(autor, nombre="c", pk=back_key).save()
        mueble(autor, nombre="new").save()
    Vitrina.objects.update(publicada=False)
    lines, error = compare()
    assert sorted(lines[:-1]) == sorted(
        [
            f"'{changed.pk}': differs in ancho, material",
            f"'{gone_key}': the log has it, and no row shows it",
            f"'{cabinet.pk}': the log has it, and no row shows it",
            f"'{back_key}': the log says that it is deleted, and its row is there",
        ]
    )
    assert lines[-1] == "equal=1 different=4 waiting=0 not_in_log=1"
    shown = blocks("text", ROOT / "docs/django.md")[1].splitlines()
    fixed = re.compile(r"'[^']+'|=\d+|(?<= in ).*")
    assert {fixed.sub("", it) for it in shown} == {fixed.sub("", it) for it in lines}
    assert error.startswith("4 pieces differ. publish_furniture without --compare publishes rows")
    assert not OutboxEvent.objects.exists()
    lines, error = compare("--model", "catalog.Mueble")
    assert (len(lines), error[:8]) == (3, "2 pieces")
    call_command(
        "publish_furniture", "--model", "catalog.Mueble", verbosity=0, stdout=io.StringIO()
    )
    relay()
    lines, _ = compare("--model", "catalog.Mueble")
    assert lines == ["equal=4 different=0 waiting=0 not_in_log=0"]


def test_a_piece_whose_event_waits_is_not_different(site: Server, autor: User) -> None:
    """Nobody is alarmed while the relay is behind."""
    waiting, deleted, wrong = (mueble(autor, nombre=nombre) for nombre in "abc")
    for piece in (waiting, deleted, wrong):
        piece.save()
    relay()
    waiting.material = "pino"
    waiting.save()
    deleted.delete()
    mueble(autor, nombre="new").save()
    assert compare() == (
        [
            "3 events wait; compare again when they are sent.",
            "equal=1 different=0 waiting=2 not_in_log=1",
        ],
        "",
    )
    Mueble.objects.filter(pk=wrong.pk).update(material="haya")
    lines, error = compare()
    assert lines[0] == f"'{wrong.pk}': differs in material"
    assert error


def test_events_that_the_log_has_dropped_are_no_difference(
    autor: User, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retention is counted only."""
    server = start_server(retention_events=3)
    with override_setting(URL=server.url):
        for nombre in "abcde":
            mueble(autor, nombre=nombre).save()
        relay()
        lines, error = compare()
    assert error == ""
    equal, *_, not_in_log = (int(each.split("=")[1]) for each in lines[-1].split())
    assert equal + not_in_log == 5
    assert not_in_log > 0


def test_a_row_that_cannot_be_published_is_a_difference(site: Server, autor: User) -> None:
    """Its function raises."""
    Lampara.objects.bulk_create([Lampara(**{**VALUES, "nombre": ""}, vatios=1, autor=autor)])
    (line, counts), error = compare()
    assert line.endswith("cannot be published: a lamp has no name")
    assert (counts, bool(error)) == ("equal=0 different=1 waiting=0 not_in_log=0", True)


def test_a_change_while_it_compares_is_not_a_difference(
    site: Server, autor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The piece is read again from both."""
    piece = mueble(autor)
    piece.save()
    relay()
    read = comparing._furniture_of

    def change_first(*arguments: Any) -> Any:
        piece.material = piece.material + "!"
        piece.save()
        relay()
        return read(*arguments)

    monkeypatch.setattr(comparing, "_furniture_of", change_first)
    assert compare("--model", "catalog.Mueble")[1] == ""


def test_a_broker_that_does_not_answer_is_explained(autor: User, broker: loopback.Broker) -> None:
    """In one line."""
    broker.script.append(loopback.refuse(401, "unauthorized"))
    with override_setting(URL=broker.url):
        assert compare() == ([], "the broker's log cannot be read: unauthorized: no")


def page(*events: tuple[str, str], **changes: object) -> loopback.Action:
    """Answer with a page of the log, whose events are types and names of the piece 7."""
    made = [
        {"type": f"furniture_{kind}", "furniture": {"furniture_id": "7", "nombre": nombre}}
        for kind, nombre in events
    ]
    document = {"events": made, "position": "e-1", "more": False, "gap": False}
    return loopback.answer(200, {**document, **changes})


def states(broker: loopback.Broker) -> dict[str, Any]:
    """Read the broker's log; return the last state of each piece."""
    with Producer(broker.url) as producer:
        log = comparing._States(producer, lambda furniture: furniture["nombre"])
        log.read_on()
        return log.last


def test_the_log_is_read_again_after_a_gap(broker: loopback.Broker) -> None:
    """What was read before the gap may be out of date, and is forgotten."""
    broker.script += [
        page(("created", "a"), more=True),
        page(gap=True, position="e-9"),
        page(("updated", "b")),
    ]
    assert states(broker) == {"7": "b"}
    assert [seen.path for seen in broker.seen] == [
        "/api/events?limit=1000",
        "/api/events?limit=1000&since=e-1",
        "/api/events?limit=1000",
    ]
    broker.script += [page(("created", "a"), more=True), page(gap=True), page()]
    assert states(broker) == {}


def test_a_log_that_is_always_faster_is_given_up(autor: User, broker: loopback.Broker) -> None:
    """Instead of reading forever."""
    broker.script += [page(gap=True)] * 10
    with override_setting(URL=broker.url):
        _, error = compare()
    assert "drops its oldest events faster than they can be read" in error
    assert len(broker.seen) == 6


def test_pages_follow_one_another(site: Server, autor: User) -> None:
    """A page of the broker ends by its size, and the last state wins."""
    text = "x" * 9_000
    for number in range(40):
        mueble(autor, nombre=f"n{number}", descripcion=text).save()
    Mueble.objects.get(nombre="n3").delete()
    relay()
    assert compare() == (["equal=39 different=0 waiting=0 not_in_log=0"], "")
