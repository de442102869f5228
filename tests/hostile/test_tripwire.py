"""The libraries' private names that the engine leans on: few, known, and those of the pins."""

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
    """Tell whether a name is one that its owner promises nothing about."""
    return name.startswith("_") and not name.startswith("__")


def resolve(path: str) -> Any:
    """Import what a dotted path names."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"there is no {path}")


def names_of(owner: Any) -> set[str]:
    """Return the names that a class, its instances or a module have.

    What the methods of a class set on ``self`` counts as well.
    """
    names = set(dir(owner))
    for base in inspect.getmro(owner) if inspect.isclass(owner) else ():
        if base.__module__.partition(".")[0] in LIBRARIES:
            names |= set(re.findall(r"\bself\.(\w+)", inspect.getsource(base)))
    return names


def library_bases(owner: Any) -> list[type]:
    """Return those of a class's bases that are the libraries'."""
    return [
        base for base in inspect.getmro(owner)[1:] if base.__module__.partition(".")[0] in LIBRARIES
    ]


def defined_in(tree: ast.AST) -> set[str]:
    """Return the private names that a module makes itself."""
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
    """Yield each private attribute that is used: of what, and its name."""
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


def leans_on(module: ModuleType, source: str, own: set[str]) -> set[str]:
    """Return the libraries' private names that a module uses.

    Args:
        own: the private names that the engine makes somewhere itself.
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
            inner |= defined_in(node)  # an override, or what a base's method reads
            found |= {name for name in inner if is_private(name)} & theirs
    found |= {
        name for of, name in uses(tree) if of not in ("self", "cls", "super()") and name not in own
    }
    return found


def engine_modules() -> dict[str, tuple[ModuleType, str]]:
    """Return the modules of the engine and of ``net``, with their sources, by name."""
    paths = [path for folder in FOLDERS for path in sorted(folder.rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return {
        name: (importlib.import_module(name), path.read_text())
        for name, path in zip(names, paths, strict=True)
        if path.stem != "__init__"
    }


def all_defined() -> set[str]:
    """Return the private names that the engine makes itself."""
    return set().union(*(defined_in(ast.parse(text)) for _, text in engine_modules().values()))


@pytest.mark.parametrize(("owner", "name"), PRIVATE_NAMES)
def test_the_name_is_there(owner: str, name: str) -> None:
    """Find each name in the release that is installed."""
    assert is_private(name)
    assert name in names_of(resolve(owner)), f"{owner} has no {name} any more"


@pytest.mark.parametrize("distribution", LIBRARIES.values())
def test_the_release_is_the_pinned_one(distribution: str) -> None:
    """Run with the releases that were read when these names were written down."""
    pins = dict(
        line.split("==")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if re.fullmatch(r"[\w-]+==[\w.]+", line)
    )
    assert version(distribution) == pins[distribution]


@pytest.mark.parametrize("name", engine_modules())
def test_no_other_name_is_leant_on(name: str) -> None:
    """Use no private name of the libraries that is not written down."""
    module, source = engine_modules()[name]
    assert leans_on(module, source, all_defined()) - LISTED == set()


def test_each_name_that_is_written_down_is_used() -> None:
    """Write down no name that the engine can do without."""
    used = [leans_on(module, text, all_defined()) for module, text in engine_modules().values()]
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
def test_a_planted_name_is_found(tmp_path: Path, planted: str, name: str) -> None:
    """See that the check above would fail."""
    source = f"from engineio import AsyncServer\n{planted}\n"
    path = tmp_path / "planted.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("planted", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert leans_on(module, source, all_defined()) == {name}
