"""``publish``: one event from arguments, or many from the lines of a file or of standard input."""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import IO, Any

import click
from click.shell_completion import CompletionItem

from sio_server.commands.client import ServerError, find_server, server_options
from sio_server.commands.publication import Line, Publication, batches
from sio_server.contract.events import EVENT_TYPES, FURNITURE_FIELDS, NumberRule


def _complete_fields(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    names = (f"{name}=" for name in FURNITURE_FIELDS)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command()
@server_options
@click.argument("event_type", metavar="[TYPE]", required=False, type=click.Choice(EVENT_TYPES))
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...", shell_complete=_complete_fields)
@click.option("--id", "event_id", metavar="TEXT", help="The event's id. [default: a new one]")
@click.option(
    "-f",
    "--file",
    type=click.File("rb"),
    metavar="FILE",
    help="Publish each line of this file; - is standard input.",
)
@click.option(
    "--id-prefix",
    metavar="TEXT",
    help="The ids of lines without an id begin with this, and end with the line's number. So the "
    "same file with the same prefix publishes nothing twice. [default: a new one]",
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    metavar="SECONDS",
    default=60.0,
    help="How long to try again while the server can't be reached. "
    "[default: 60, which is 1 minute]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer for each event as JSON.")
@click.pass_context
def publish(
    context: click.Context,
    /,
    url: str | None,
    credential_file: Path | None,
    event_type: str | None,
    fields: tuple[str, ...],
    event_id: str | None,
    file: IO[bytes] | None,
    id_prefix: str | None,
    patience: float,
    *,
    as_json: bool,
) -> None:
    """Publish events from arguments, a file or standard input.

    \b
    publish furniture_created furniture_id=1 nombre='Mesa de Roble' \\
        descripcion= altura=75 ancho=120 material=roble autor_username=Juan
    publish --file events.jsonl
    my-program | publish

    A value is text; altura and ancho are numbers. After := a value is JSON, as in patas:=4. A line
    of a file or of standard input is an event in JSON.

    Each event has an id, so that a second attempt publishes nothing twice. The exit status is 1 if
    the server refuses an event.
    """  # noqa: D301 - click reads the \b
    if event_type is not None and (file or id_prefix):
        raise click.UsageError("a TYPE is for one event; --file and --id-prefix are for lines")
    if event_type is None and event_id is not None:
        raise click.UsageError("--id needs a TYPE; lines have an --id-prefix")
    if event_type is None and file is None and sys.stdin.isatty():
        raise click.UsageError("name a TYPE and its fields, or a --file; --help has examples")
    publication = Publication(find_server(context.obj, url, credential_file), patience)
    if as_json:
        publication.show = _print_json
    if event_type is not None:
        event = {"type": event_type, "furniture": dict(map(_field, fields))}
        event["id"] = event_id or secrets.token_hex(16)
        _publish_one(publication, event)
    else:
        source = file or sys.stdin.buffer
        _publish_lines(publication, source, id_prefix or secrets.token_hex(8))
    if publication.counts["refused"]:
        context.exit(1)


def _print_json(result: dict[str, Any]) -> None:
    click.echo(json.dumps(result))


def _publish_one(publication: Publication, event: dict[str, Any]) -> None:
    answers: list[dict[str, Any]] = []
    show, publication.show = publication.show, answers.append
    publication.send([Line(1, 0, event)])
    (answer,) = answers
    if show is not None:
        show(answer)
    elif answer["ok"]:
        click.echo(answer["offset"])
        if answer["duplicate"]:
            click.echo("This event was published before.", err=True)
    else:
        raise click.ClickException(answer["error"]["message"])


def _publish_lines(publication: Publication, source: IO[bytes], prefix: str) -> None:
    hidden = not sys.stderr.isatty() or (publication.show is not None and sys.stdout.isatty())
    lines = batches(source, prefix)
    bar: Any = click.progressbar(
        lines, _size(source), label="publishing", file=sys.stderr, hidden=hidden
    )
    try:
        with bar:
            for batch in lines:
                publication.send(batch)
                bar.label = f"{publication.counts['published']:,} published"
                bar.update(sum(line.size for line in batch))
    except (ServerError, KeyboardInterrupt) as error:
        publication.report()
        remedy = f"to continue, use the same lines with --id-prefix {prefix}"
        if isinstance(error, KeyboardInterrupt):
            click.echo(remedy, err=True)
            raise SystemExit(130) from None
        raise click.ClickException(f"{error.message}; {remedy}") from None
    publication.report()


def _size(source: IO[bytes]) -> int | None:
    """Return the bytes of a file; None for a pipe."""
    try:
        status = os.fstat(source.fileno())
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _field(word: str) -> tuple[str, Any]:
    """Return the name and the value of an argument.

    Raises:
        UsageError: it has none, or its JSON is bad.
    """
    name, separator, value = word.partition("=")
    is_json = name.endswith(":")
    name = name.removesuffix(":")
    if not separator or not name:
        raise click.UsageError(f"{word!r} is not FIELD=VALUE")
    if not is_json and not isinstance(FURNITURE_FIELDS.get(name), NumberRule):
        return name, value
    try:
        return name, json.loads(value)
    except ValueError:
        if is_json:
            raise click.UsageError(f"{word!r}: the value after := is not JSON") from None
        return name, value  # the server says what the field must be
