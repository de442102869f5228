"""``manage.py publish_furniture``: publish rows as they are now, or compare them with the log."""

from collections import Counter
from collections.abc import Collection
from datetime import date, datetime, time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, Error, connections, router
from django.db.models import DateField, DateTimeField, Model, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from furniture_events import FurnitureEventsError
from furniture_events.django import direct, outbox
from furniture_events.django.backfill import publish_rows
from furniture_events.django.comparing import Comparison
from furniture_events.django.conf import config
from furniture_events.django.mapping import Mapper, mappers, parent_of, rows_of
from furniture_events.django.preconditions import check_outbox, check_transaction
from furniture_events.django.publishing import is_paused

_DEADLINE_SECONDS = 120
"""How long one page of the log may take, with all waits that the broker asks for."""

Tables = list[tuple[Mapper, "QuerySet[Any]"]]


class Command(BaseCommand):
    """Publishes the rows of mapped models, or compares them with the log."""

    help = "Publish the rows of mapped models as they are now, or compare them with the log."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, choices=tuple(connections))
        parser.add_argument(
            "--model",
            action="append",
            dest="models",
            metavar="app.Model",
            help="Only this mapped model, with its children. Repeat it for more models.",
        )
        parser.add_argument(
            "--since",
            metavar="DATETIME",
            help="Only rows that were changed since this time (ISO 8601), by their auto_now field.",
        )
        parser.add_argument(
            "--since-field", metavar="NAME", help="The field for --since, if it is another one."
        )
        parser.add_argument(
            "--compare",
            action="store_true",
            help="Publish nothing. Print how the rows differ from the log, and fail if they do.",
        )

    def handle(
        self,
        *,
        database: str,
        models: Collection[str] | None,
        since: str | datetime | None,
        since_field: str | None,
        compare: bool,
        verbosity: int,
        **_: Any,
    ) -> None:
        """Publish or compare."""
        if since_field is not None and since is None:
            raise CommandError("--since-field belongs to --since")
        check_transaction(database, "run the command outside of it, because it has its own")
        if is_paused() and not compare:
            raise CommandError("publishing is paused: run the command outside of paused()")
        moment = None if since is None else _moment(since)
        try:
            if config().mode != "direct":
                check_outbox(database)
            tables: Tables = [
                (mapper, _rows(mapper.model, database, moment, since_field))
                for mapper in _chosen(models, database)
            ]
            if compare:
                self._compare(tables, database, is_whole=not models and since is None)
            else:
                self._publish(tables, verbosity)
        except Error as error:
            raise CommandError(f"the database {database!r} failed: {error}") from error

    def _publish(self, tables: Tables, verbosity: int) -> None:
        counts: Counter[str] = Counter()
        lost = direct.counts["lost"]
        shows_progress = verbosity > 0 and self.stderr.isatty()
        for mapper, rows in tables:
            label, done = mapper.model._meta.label, 0
            for chunk in publish_rows(mapper, rows):
                counts.update(published=chunk.published, hidden=chunk.hidden)
                for key, error in chunk.failed:
                    counts["failed"] += 1
                    self.stderr.write(f"{label} {key}: {type(error).__name__}: {error}")
                done += chunk.published + chunk.hidden + len(chunk.failed)
                if shows_progress:
                    self.stderr.write(f"\r{label}: {done} rows", _plain, ending="")
            if shows_progress:
                self.stderr.write("", _plain)
        self.stdout.write(_line(counts, "published", "hidden", "failed"))
        if counts["failed"]:
            raise CommandError(f"{counts['failed']} rows cannot be published: see the lines above")
        if lost := direct.counts["lost"] - lost:
            raise CommandError(f"the broker did not take {lost} events: run the command again")

    def _compare(self, tables: Tables, database: str, *, is_whole: bool) -> None:
        timeout = config().timeout
        with config().producer(timeout=timeout, deadline=_DEADLINE_SECONDS) as producer:
            comparison = Comparison(producer, database)
            try:
                for line in comparison.differences(tables, is_whole=is_whole):
                    self.stdout.write(line)
            except FurnitureEventsError as error:
                raise CommandError(f"the broker's log cannot be read: {error}") from error
        counts = comparison.counts
        if config().mode != "direct" and (waiting := outbox.waiting(database).count()):
            self.stdout.write(f"{waiting} events wait; compare again when they are sent.")
        self.stdout.write(_line(counts, "equal", "different", "waiting", "not_in_log"))
        if counts["different"]:
            raise CommandError(
                f"{counts['different']} pieces differ. publish_furniture without --compare "
                "publishes rows; publish furniture_deleted by hand for a piece without a row."
            )


def _chosen(labels: Collection[str] | None, database: str) -> list[Mapper]:
    """Return the mappers of the models, without children of others: their rows are read there.

    Raises:
        CommandError: there is no such mapped model on the database.
    """
    known = [each for each in mappers() if router.allow_migrate_model(database, each.model)]
    if labels:
        by_label = {each.model._meta.label_lower: each for each in known}
        for label in labels:
            if label.lower() not in by_label:
                names = ", ".join(each.model._meta.label for each in known) or "none"
                raise CommandError(
                    f"{label!r} is not a mapped model of the database {database!r}. "
                    f"Mapped are: {names}."
                )
        known = [by_label[label] for label in dict.fromkeys(map(str.lower, labels))]
    return [each for each in known if not any(_is_in(each, other) for other in known)]


def _is_in(mapper: Mapper, other: Mapper) -> bool:
    parent = parent_of(mapper)
    return parent is not None and (parent is other or _is_in(parent, other))


def _rows(
    model: type[Model], database: str, moment: datetime | None, name: str | None
) -> "QuerySet[Any]":
    rows = rows_of(model, database)
    if moment is None:
        return rows
    field = _since_field(model, name)
    value = moment if isinstance(field, DateTimeField) else _local(moment).date()
    return rows.filter(**{f"{field.name}__gte": value})


def _since_field(model: type[Model], name: str | None) -> Any:
    """Return the field that says when a row was changed.

    Raises:
        CommandError: there is no such field, or more than one.
    """
    dated = [each for each in model._meta.concrete_fields if isinstance(each, DateField)]
    found = [
        each for each in dated if (each.name == name if name else getattr(each, "auto_now", False))
    ]
    if len(found) == 1:
        return found[0]
    label = model._meta.label
    names = ", ".join(each.name for each in dated) or "none"
    if name:
        raise CommandError(f"{label} has no date field {name!r}. It has: {names}.")
    raise CommandError(
        f"{label} has {len(found)} fields with auto_now: name the field with --since-field NAME. "
        f"Its date fields are: {names}."
    )


def _moment(since: str | datetime) -> datetime:
    """Return the time of ``--since``. Without a zone it is in the site's time zone.

    Raises:
        CommandError: it is not a time.
    """
    moment: datetime | date | None = since if isinstance(since, datetime) else None
    if isinstance(since, str):
        try:
            moment = parse_datetime(since) or parse_date(since)
        except ValueError:  # such as the month 13
            moment = None
    if moment is None:
        raise CommandError(f"--since: {since!r} is no time, such as 2026-01-31T08:00:00+01:00")
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if settings.USE_TZ and timezone.is_naive(moment):
        return timezone.make_aware(moment)
    if not settings.USE_TZ and timezone.is_aware(moment):
        return timezone.make_naive(moment)
    return moment


def _local(moment: datetime) -> datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


def _line(counts: Counter[str], *names: str) -> str:
    return " ".join(f"{name}={counts[name]}" for name in names)


def _plain(text: str) -> str:
    return text
