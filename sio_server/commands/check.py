"""``check``: what is wrong with a configuration and its surroundings, and what is open to whom."""

from __future__ import annotations

from typing import Any

import click

from sio_server import settings
from sio_server.commands.settings_options import WithSettings, given_settings, settings_options
from sio_server.contract.errors import StartError

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}

WIDTH = 100


@click.command(cls=WithSettings)
@settings_options
@click.option("--strict", is_flag=True, help="Warnings count as errors for the exit status.")
@click.pass_context
def check(context: click.Context, /, *, strict: bool, **options: Any) -> None:
    """Say what is wrong with the settings, and what is open to whom.

    The command checks the settings, files, keys, ports, the event log, the limit of open files and
    the clock. It changes nothing. The exit status is 1 if the server would not start or not work.
    """
    try:
        loaded = settings.load({**context.obj, **given_settings(options)})
    except StartError as error:
        for message in str(error).split("; SIO_"):
            text = message if message.startswith("SIO_") else f"SIO_{message}"
            _show([(_sign("error", "settings"), text)])
        context.exit(1)
    from sio_server.commands.findings import doors, findings

    counts = {"ok": 0, "warning": 0, "error": 0}
    rows = []
    for level, subject, text in findings(loaded):
        counts[level] += 1
        rows.append((_sign(level, subject), text))
    _show(rows)
    if not counts["error"]:
        click.secho("\nWho may do what", bold=True)
        _show([(f"  {what}", who) for what, who in doors(loaded)])
    bad = counts["error"] or (strict and counts["warning"])
    click.echo(f"\n{_count(counts['error'], 'error')}, {_count(counts['warning'], 'warning')}")
    context.exit(1 if bad else 0)


def _sign(level: str, subject: str) -> str:
    sign, colour = SIGNS[level]
    return f"{click.style(sign, fg=colour)} {subject}"


def _show(rows: list[tuple[str, str]]) -> None:
    formatter = click.HelpFormatter(max_width=WIDTH)
    formatter.write_dl(rows, col_max=45)
    click.echo(formatter.getvalue(), nl=False)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
