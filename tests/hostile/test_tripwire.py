"""The libraries' private names that the engine uses: few, listed, and of the pinned releases."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sio_server.seams import PRIVATE_NAMES
from tests.support.server import ROOT

FOLDERS = (ROOT / "sio_server" / "engine", ROOT / "sio_server" / "net")
LIBRARIES = {"engineio": "python-engineio", "socketio": "python-socketio", "aiohttp": "aiohttp"}

LISTED = {name for _, name in PRIVATE_NAMES}


def is_private(name: str) -> bool:
    """Return whether a name is private to its module or class."""
    return name.startswith("_") and not name.startswith("__")


def resolve(path: str) -> Any:
    """Import the object at a dotted path."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{path} does not exist")


def names_of(owner: Any) -> set[str]:
    """Return the names of a class, of its instances, or of a module.

    It includes the attributes that the methods of a class set on ``self``.
    """
    names = set(dir(owner))
    for base in inspect.getmro(owner) if inspect.isclass(owner) else ():
        if base.__module__.partition(".")[0] in LIBRARIES:
            names |= set(re.findall(r"\bself\.(\w+)", inspect.getsource(base)))
    return names


def library_bases(owner: Any) -> list[type]:
    """Return the bases of a class that the libraries define."""
    return [
        base for base in inspect.getmro(owner)[1:] if base.__module__.partition(".")[0] in LIBRARIES
    ]


def defined_in(tree: ast.AST) -> set[str]:
    """Return the names that a module defines itself."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def uses(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each private attribute that is used, as its object and its name."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and is_private(each.attr):
            yield ast.unparse(each.value), each.attr
        elif (
            isinstance(each, ast.Call)
            and ast.unparse(each.func) in ("getattr", "setattr", "hasattr", "delattr")
            and isinstance(each.args[1], ast.Constant)
            and is_private(str(each.args[1].value))
        ):
            yield ast.unparse(each.args[0]), str(each.args[1].value)


def private_names_used(module: ModuleType, source: str, own: set[str]) -> set[str]:
    """Return the libraries' private names that a module uses.

    Args:
        module: the imported module.
        source: its source text.
        own: the private names that the engine defines itself.
    """
    tree = ast.parse(source)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LIBRARIES:
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found |= {name for name in names if is_private(name)}
        elif isinstance(node, ast.ClassDef):
            bases = library_bases(getattr(module, node.name))
            theirs = set().union(*map(names_of, bases))
            inner = {name for _, name in uses(node)}
            inner |= defined_in(node)  # an override, or an attribute that a base reads
            found |= {name for name in inner if is_private(name)} & theirs
    found |= {
        name for of, name in uses(tree) if of not in ("self", "cls", "super()") and name not in own
    }
    return found


def engine_modules() -> dict[str, tuple[ModuleType, str]]:
    """Return the modules of ``engine`` and ``net`` with their sources, by name."""
    paths = [path for folder in FOLDERS for path in sorted(folder.rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return {
        name: (importlib.import_module(name), path.read_text())
        for name, path in zip(names, paths, strict=True)
        if path.stem != "__init__"
    }


def all_defined() -> set[str]:
    """Return the names that the engine defines itself."""
    return set().union(*(defined_in(ast.parse(text)) for _, text in engine_modules().values()))


@pytest.mark.parametrize(("owner", "name"), PRIVATE_NAMES)
def test_the_installed_release_has_each_listed_name(owner: str, name: str) -> None:
    """A release that moves a name fails this test."""
    assert is_private(name)
    assert name in names_of(resolve(owner)), f"{owner} no longer has {name}"


@pytest.mark.parametrize("distribution", LIBRARIES.values())
def test_the_installed_releases_are_the_pinned_ones(distribution: str) -> None:
    """The names were checked against these releases."""
    pins = dict(
        re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    )
    assert version(distribution) == pins[distribution]


@pytest.mark.parametrize("name", engine_modules())
def test_the_engine_uses_only_listed_names(name: str) -> None:
    """Every private name of the libraries that a module uses is in the list."""
    module, source = engine_modules()[name]
    assert private_names_used(module, source, all_defined()) - LISTED == set()


def test_each_listed_name_is_used() -> None:
    """The list has no name that the engine does not need."""
    used = [
        private_names_used(module, text, all_defined())
        for module, text in engine_modules().values()
    ]
    assert LISTED - set().union(*used) == set()


@pytest.mark.parametrize(
    ("planted", "name"),
    [
        ("class Planted(AsyncServer):\n def f(self):\n  self._get_socket('x')", "_get_socket"),
        ("class Planted(AsyncServer):\n def f(self):\n  return self._async", "_async"),
        ("class Planted(AsyncServer):\n async def _service_task(self): ...", "_service_task"),
        ("class Planted(AsyncServer):\n def f(self):\n  super()._ok()", "_ok"),
        ("class Planted(AsyncServer):\n def f(self):\n  self._gzip = None", "_gzip"),
        ("class Planted:\n def f(self, room):\n  return room._fwdm", "_fwdm"),
        ("def f(request):\n return request._payload_writer", "_payload_writer"),
        ("def f(request):\n return getattr(request, '_rel_url')", "_rel_url"),
        ("from engineio.async_drivers.aiohttp import _async", "_async"),
    ],
)
def test_a_planted_private_name_is_found(tmp_path: Path, planted: str, name: str) -> None:
    """The check above fails for each way to use a private name."""
    source = f"from engineio import AsyncServer\n{planted}\n"
    path = tmp_path / "planted.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("planted", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert private_names_used(module, source, all_defined()) == {name}
