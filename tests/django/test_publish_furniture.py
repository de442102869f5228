"""``manage.py publish_furniture`` publishes the rows as they are now, chunk by chunk."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import loopback
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from furniture_events.django import backfill, chunks, paused
from furniture_events.django.mapping import mapper_of, rows_of
from furniture_events.django.models import OutboxEvent
from furniture_events.django.testing import capture_events

from tests.django.catalog.models import Banco, Mesa, Mueble, Sofa
from tests.django.overrides import override_setting
from tests.django.pieces import mueble, summaries
from tests.django.showroom.models import Biombo, Vitrina
from tests.django.test_mapping import VALUES
from tests.django.test_saving import pieza
from tests.django.test_transactions import in_own_connection
from tests.django.test_unpublishable_rows import MAPPING_ERRORS, corrupt, lampara
from tests.support.server import TIMEOUT


def run(*options: str, **streams: Any) -> str:
    """Run the command; return the last line of its output."""
    out = io.StringIO()
    call_command("publish_furniture", *options, stdout=out, **streams)
    return out.getvalue().splitlines()[-1]


@pytest.fixture
def pieces(autor: User) -> list[Mueble]:
    """Return five pieces of which no event was published."""
    Mueble.objects.bulk_create([mueble(autor, nombre=nombre) for nombre in "abcde"])
    return list(Mueble.objects.order_by("pk"))


def test_rows_are_published_as_created_in_order(
    pieces: list[Mueble], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chunk has its own inserts."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    with capture_events() as events, CaptureQueriesContext(connection) as queries:
        assert run("--model", "catalog.Mueble") == "published=5 hidden=0 failed=0"
    assert summaries(events, "nombre") == [("created", nombre) for nombre in "abcde"]
    assert sum(each["sql"].startswith("INSERT") for each in queries) == 3


def test_all_models_are_published_and_each_piece_once(autor: User) -> None:
    """A child's row is a row of its parent, and has the child's mapping."""
    mueble(autor).save()
    Sofa.objects.create(**VALUES, autor=autor)
    Mesa.objects.create(**VALUES, autor=autor)
    Banco.objects.create(**VALUES, autor=autor, codigo="b")
    Vitrina.objects.create(**VALUES, autor=autor)
    Vitrina.objects.create(**VALUES, autor=autor, publicada=False)
    with capture_events() as events:
        assert run() == "published=5 hidden=1 failed=0"
    assert [
        each["furniture"].get("plazas") for each in events if "plazas" in each["furniture"]
    ] == [2]
    assert len({each["furniture"]["furniture_id"] for each in events}) == 5
    with capture_events() as events:
        assert run("--model", "catalog.Sofa", "--model", "showroom.vitrina").startswith(
            "published=2"
        )
        assert run("--model", "catalog.Sofa", "--model", "catalog.Mueble").startswith("published=4")
    assert len(events) == 6


def test_other_saves_get_through_between_two_chunks(
    pieces: list[Mueble], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row may be published already, or come later."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    first, last = pieces[0], pieces[-1]
    first.material = last.material = "pino"
    mapper: Any = mapper_of(Mueble)
    with capture_events() as events, ThreadPoolExecutor(1) as pool:
        steps = backfill.publish_rows(mapper, rows_of(Mueble, "default"))
        assert next(steps).published == 2
        for piece in (first, last):
            pool.submit(in_own_connection(piece.save)).result(TIMEOUT)
        assert [chunk.published for chunk in steps] == [2, 1]
    assert summaries(events, "nombre", "material")[2:] == [
        ("updated", "a", "pino"),
        ("updated", "e", "pino"),
        ("created", "c", "roble"),
        ("created", "d", "roble"),
        ("created", "e", "pino"),
    ]


def test_only_rows_that_were_changed_since_a_time_are_published(autor: User) -> None:
    """By the field with ``auto_now``, or by the named one. A time without a zone is the site's."""
    old, new = (Biombo.objects.create(**VALUES, autor=autor) for _ in range(2))
    now = timezone.now()
    Biombo.objects.filter(pk=old.pk).update(cambiado=now - timedelta(days=2))
    yesterday = (now - timedelta(days=1)).isoformat()
    with capture_events() as events:
        assert run("--model", "showroom.Biombo", "--since", yesterday).startswith("published=1")
        assert run("--model", "showroom.Biombo", "--since", yesterday[:10]).startswith(
            "published=1"
        )
        before = (now - timedelta(days=3)).replace(tzinfo=None).isoformat()
        options = ["--model", "showroom.Biombo", "--since", before, "--since-field", "cambiado"]
        assert run(*options).startswith("published=2")
        with override_settings(USE_TZ=False):
            later = (now + timedelta(days=1)).isoformat()
            assert run("--model", "showroom.Biombo", "--since", later).startswith("published=0")
    assert summaries(events, "furniture_id")[:2] == [("created", str(new.pk))] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--since", "2026-01-31"], "fields with auto_now: name the field with --since-field NAME"),
        (["--since", "2026-13-31", "--model", "showroom.Biombo"], "is no time"),
        (["--since", "gestern", "--model", "showroom.Biombo"], "is no time"),
        (
            ["--since", "2026-01-31", "--since-field", "x", "--model", "showroom.Biombo"],
            "showroom.Biombo has no date field 'x'. It has: cambiado",
        ),
        (["--since-field", "cambiado"], "--since-field belongs to --since"),
        (["--model", "auth.User"], "'auth.User' is not a mapped model of the database 'default'"),
        (["--model", "catalog.Mesa"], "Mapped are: catalog.Mueble, "),
    ],
)
def test_a_wrong_option_is_explained(options: list[str], message: str) -> None:
    """Nothing is published."""
    with capture_events() as events, pytest.raises(CommandError) as failure:
        run(*options)
    assert message in str(failure.value)
    assert events == []


@pytest.mark.parametrize("make", [lampara, mueble, pieza])
def test_rows_that_cannot_be_published_are_named(autor: User, make: Callable[[User], Any]) -> None:
    """The others are published. The command fails at the end."""
    bad, good = make(autor), make(autor)
    bad.save()
    corrupt(bad)
    good.save()
    label, err = bad._meta.label, io.StringIO()
    with capture_events() as events, pytest.raises(CommandError, match="1 rows cannot"):
        run("--model", label, stderr=err)
    assert summaries(events, "furniture_id") == [("created", str(good.pk))]
    (line,) = err.getvalue().splitlines()
    assert line.startswith(f"{label} {bad.pk}: ")
    assert line.split(": ")[1] in {error.__name__ for error in MAPPING_ERRORS}


def test_it_refuses_to_run_in_a_transaction(pieces: list[Mueble]) -> None:
    """Its chunks could not be committed."""
    with transaction.atomic(), pytest.raises(CommandError, match="a transaction is open on 'def"):
        run()


def test_it_refuses_to_run_while_publishing_is_paused(pieces: list[Mueble]) -> None:
    """It would count rows that it does not publish."""
    with paused(), pytest.raises(CommandError, match="publishing is paused"):
        run()


def test_a_database_without_an_outbox_is_explained(other: str) -> None:
    """Before it reads a row."""
    with pytest.raises(CommandError, match="there is no outbox on 'other' yet"):
        run("--database", other)


def test_another_database_has_its_own_rows(other_site: str, pieces: list[Mueble]) -> None:
    """And its own outbox."""
    author = User.objects.db_manager(other_site).create_user("ana")
    Mueble.objects.using(other_site).bulk_create([mueble(author, nombre="x")])
    with capture_events() as here_events, capture_events(other_site) as events:
        assert run("--database", other_site).startswith("published=1")
    assert (here_events, summaries(events, "nombre")) == ([], [("created", "x")])


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_progress_is_shown_on_a_terminal_only(pieces: list[Mueble]) -> None:
    """And not with ``--verbosity 0``."""
    shown, quiet, file = Terminal(), Terminal(), io.StringIO()
    run("--model", "catalog.Mueble", stderr=shown)
    run("--model", "catalog.Mueble", "--verbosity", "0", stderr=quiet)
    run("--model", "catalog.Mueble", stderr=file)
    assert shown.getvalue() == "\rcatalog.Mueble: 5 rows\n"
    assert (quiet.getvalue(), file.getvalue()) == ("", "")


def test_direct_mode_sends_each_chunk_and_tells_of_lost_events(
    pieces: list[Mueble], broker: loopback.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would remember them."""
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    with override_setting(MODE="direct", URL=broker.url):
        assert run("--model", "catalog.Mueble").startswith("published=5")
        assert [len(seen.json["events"]) for seen in broker.seen] == [2, 2, 1]
        broker.script.append(loopback.refuse(503, "log_unavailable"))
        with pytest.raises(CommandError, match="the broker did not take 2 events"):
            run("--model", "catalog.Mueble")
    assert not OutboxEvent.objects.exists()
