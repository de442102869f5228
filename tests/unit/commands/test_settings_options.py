"""The settings as options, and the help that shows them."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from sio_server.commands.program import program
from sio_server.commands.settings_options import in_words
from sio_server.settings import GROUPS, SECRET_FIELDS, Settings


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_the_help_shows_each_setting_with_its_variable_in_groups(arguments: list[str]) -> None:
    """A secret has a variable, and no option. No type of Python is shown."""
    result = CliRunner().invoke(program, arguments)
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    for field in Settings.model_fields:
        assert (f"--{field.replace('_', '-')} " in shown) is (field not in SECRET_FIELDS), field
        assert f"SIO_{field.upper()}" in shown
    titles = re.findall(r"^(\w.*):$", result.output, re.MULTILINE)
    assert titles[: len(GROUPS)] == list(GROUPS.values())
    assert "tuple" not in shown
    assert "SecretStr" not in shown


def test_the_help_of_the_program_ends_with_its_commands() -> None:
    """A terminal shows the end of a long page. The default command is the first."""
    output = CliRunner().invoke(program, ["--help"]).output
    commands = output.split("\nCommands:\n")[1].splitlines()
    assert [line.split()[0] for line in commands if line[2] != " "] == list(program.commands)
    assert next(iter(program.commands)) == "run"


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("SECONDS", 86_400, "86400, which is 1 day"),
        ("SECONDS", 7_200, "7200, which is 2 hours"),
        ("SECONDS", 75, "75"),
        ("BYTES", 65_536, "65536, which is 64 KiB"),
        ("BYTES", 1000, "1000"),
        ("NUMBER", 65_536, "65536"),
        (None, False, "off"),
        ("TEXT", None, ""),
        ("LIST", (), ""),
    ],
)
def test_a_default_is_in_plain_words(unit: str | None, value: object, text: str) -> None:
    """A person reads days and KiB."""
    assert in_words(unit, value) == text


def test_options_before_a_command_are_settings_of_that_command() -> None:
    """An option after the command wins."""
    options = ["--port", "1", "--rate-limit", "0", "run", "--port", "x"]
    error = CliRunner().invoke(program, options).exception
    assert "SIO_PORT" in str(error)
    assert "'x'" in str(error)
    assert "SIO_RATE_LIMIT" in str(error)
