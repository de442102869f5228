"""Check Python code, templates and commands of a Django site, in a process that has Django set up.

The standard input is a JSON list of ``[page, language, text]``. Each fault is a line of the output.
"""

from __future__ import annotations

import ast
import importlib
import json
import sys

import django
from django.conf import settings
from django.core.management import CommandError, get_commands, load_command_class
from django.template import Engine, TemplateSyntaxError

from tests.support.pages import commands

PACKAGES = ("furniture_events", "django", "sio_server")
LIBRARIES = {
    "furniture_events": "furniture_events.django.templatetags.furniture_events",
    "static": "django.templatetags.static",
}


def parse(text: str) -> ast.Module:
    """Parse a module, or some members of a dict, such as keys of a setting."""
    try:
        return ast.parse(text)
    except SyntaxError:
        return ast.parse(f"{{{text}}}")


def python_fault(text: str) -> str | None:
    """Return a syntax error, or a name that the package does not have."""
    try:
        tree = parse(text)
    except SyntaxError as error:
        return str(error)
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module.partition(".")[0] in PACKAGES:
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")
    return None


def template_fault(text: str) -> str | None:
    """Return the error of a template that Django cannot compile."""
    try:
        Engine(libraries=LIBRARIES).from_string(text)
    except TemplateSyntaxError as error:
        return str(error)
    return None


def command_fault(text: str) -> str | None:
    """Return a command of ``manage.py`` that does not exist, or that refuses its arguments."""
    for words in commands(text):
        if words[:2] != ["python", "manage.py"]:
            continue
        _, _, name, *arguments = words
        if name not in (known := get_commands()):
            return f"manage.py has no {name}"
        command = load_command_class(known[name], name)
        try:
            command.create_parser("manage.py", name).parse_args(arguments)
        except CommandError as error:
            return f"{name}: {error}"
    return None


CHECKS = {"python": python_fault, "html": template_fault, "sh": command_fault}

if __name__ == "__main__":
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.staticfiles",
            "furniture_events.django",
        ],
        FURNITURE_EVENTS={"URL": "http://localhost:8765", "KEY": None},
    )
    django.setup()
    for page, language, text in json.load(sys.stdin):
        try:
            fault = CHECKS[language](text)
        except ImportError as error:
            fault = str(error)
        if fault:
            print(f"{page}: {fault}:\n{text}")  # noqa: T201
