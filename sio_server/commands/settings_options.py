"""The settings as options of a command, and their help. Each option comes from its field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from sio_server.contract.errors import StartError
from sio_server.settings import GROUPS, PREFIX, SECRET_FIELDS, Settings, shows_a_secret

UNITS = {
    "SECONDS": ((86_400, "day"), (3_600, "hour"), (60, "minute")),
    "BYTES": ((1_073_741_824, "GiB"), (1_048_576, "MiB"), (1_024, "KiB")),
}
"""Larger units, for the explanation of a default."""

OPTION_WIDTH = 36
"""A longer option has a line of its own, above its explanation."""

Function = TypeVar("Function", bound=Callable[..., Any])


class SettingOption(click.Option):
    """A setting as an option. ``Settings`` checks its value, as it does for the other sources.

    A secret is no option: the command line refuses it, and names a better place.

    Args:
        names: the name of the setting's field.
        field: the field.
    """

    def __init__(self, names: Sequence[str], field: FieldInfo) -> None:
        (name,) = names
        kind = field.annotation
        self.variable = PREFIX + name.upper()
        self.choices = get_args(kind) if get_origin(kind) is Literal else ()
        self.is_secret = name in SECRET_FIELDS
        option, is_path = name.replace("_", "-"), Path in (kind, *get_args(kind))
        super().__init__(
            [f"--{option}/--no-{option}" if kind is bool else f"--{option}"],
            type=bool if kind is bool else click.Path() if is_path else str,
            metavar=metavar(name, kind),
            default=None,
            callback=self._check,
            expose_value=not self.is_secret,
            hidden=self.is_secret,
        )
        default = in_words(self.metavar, field.default)
        notes = "never an option" if self.is_secret else self.variable
        self.text = f"{field.description} [{notes}{default and f'; default: {default}'}]"

    def _check(self, context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is not None and shows_a_secret(str(self.name), str(value)):
            places = f"{self.variable} or {self.variable}_FILE"
            raise StartError(f"{self.opts[0]}: a command line shows secrets; use {places}")
        return value

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete the values of a setting that has only a few."""
        kind = click.Choice(self.choices) if self.choices else self.type
        return kind.shell_complete(ctx, self, incomplete)

    def help_row(self) -> tuple[str, str]:
        """Return the option and its explanation."""
        name = self.variable if self.is_secret else " / ".join((*self.opts, *self.secondary_opts))
        shown = click.style(name, fg="cyan")
        return (
            f"{shown} {self.metavar}" if self.metavar and not self.is_secret else shown,
            self.text,
        )


def settings_options(function: Function) -> Function:
    """Give a command all settings as options."""
    for name, field in reversed(Settings.model_fields.items()):
        function = click.option(name, cls=SettingOption, field=field)(function)
    return function


def given_settings(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the command line names, for ``settings.load``."""
    return {name: value for name, value in options.items() if value is not None}


class WithSettings(click.Command):
    """A command with settings, whose help shows them in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the settings in their groups, then the other options and the commands."""
        options = self.get_params(ctx)
        title, groups = "", dict[str, list[tuple[str, str]]]()
        for it in options:
            if isinstance(it, SettingOption):
                title = GROUPS.get(str(it.name), title)
                groups.setdefault(title, []).append(it.help_row())
        for name, rows in groups.items():
            with formatter.section(click.style(name, bold=True)):
                formatter.write_dl(rows, col_max=OPTION_WIDTH)
        rest = [it.get_help_record(ctx) for it in options if not isinstance(it, SettingOption)]
        with formatter.section(click.style("Other options", bold=True)):
            formatter.write_dl([row for row in rest if row is not None])
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


def metavar(name: str, kind: Any) -> str | None:
    """Return the word for a setting's value, which names its unit; None for a switch."""
    if kind is bool:
        return None
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "LIST"
    if Path in (kind, *get_args(kind)):
        return "FILE"
    if kind is float:
        return "SECONDS"
    if kind is int and "_bytes" in name:
        return "BYTES"
    words = {"port": "PORT", "ops_port": "PORT", "event_log": "URL"}
    return words.get(name, "NUMBER" if kind is int else "TEXT")


def in_words(unit: str | None, value: Any) -> str:
    """Return a default as a person reads it, such as ``86400, which is 1 day``.

    Args:
        unit: the word of ``metavar``.
        value: the default.

    Returns:
        The text. It is empty if there is no default.
    """
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    for size, name in UNITS.get(str(unit), ()):
        if value >= size and value % size == 0:
            count = value // size
            return f"{value}, which is {count} {name}{'s' if name.islower() and count > 1 else ''}"
    return str(value)
