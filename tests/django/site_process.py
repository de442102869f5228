"""A process of the test site. Django is set up once, and ``tests.support.forks`` forks the result.

``main`` gives it its database and its setting; see ``settings.py``. Then it runs a program as
``python -m MODULE`` or ``python -c SCRIPT`` does, with the same arguments.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django.settings"

import django

django.setup()

import django.core.management.commands.migrate  # noqa: E402 - the modules of the commands
import furniture_events.django.management.commands.relay_furniture_events  # noqa: E402, F401
from django.db import connections  # noqa: E402
from django.test.utils import override_settings  # noqa: E402

import tests.django.settings  # noqa: E402


def use_database(database: dict[str, Any]) -> None:
    """Make this entry of DATABASES the default one."""
    connections["default"].close()
    del connections["default"]
    connections.settings["default"].clear()
    connections.settings["default"].update(
        connections.configure_settings({"default": database})["default"]
    )


def main() -> None:
    """Run the program of the command line."""
    chosen = importlib.reload(tests.django.settings)
    use_database(chosen.DATABASES["default"])
    override_settings(FURNITURE_EVENTS=chosen.FURNITURE_EVENTS).enable()
    option, program = sys.argv[1:3]
    del sys.argv[:2]
    if option == "-c":
        sys.argv[0] = option
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
