"""The import contract of ``make check`` fails for an import that it forbids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ROOT, python_path

CLIENT = ROOT / "clients" / "python" / "src"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the imports of a copy of the project."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": python_path(folder, CLIENT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the server and of its import contract."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "static")
    shutil.copytree(ROOT / "sio_server", tmp_path / "sio_server", ignore=ignored)
    return tmp_path


def test_the_contract_holds(project: Path) -> None:
    """The copy that is changed below is clean."""
    result = lint(project)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        (
            "sio_server/engine/engineio/session.py",
            "from sio_server.contract.errors import ContractError",
            "net and the engine know nothing of furniture",
        ),
        (
            "sio_server/hub.py",
            "import socketio",
            "Only the engine and its endpoint import the Socket.IO libraries",
        ),
        ("sio_server/newcomer.py", "import json", "Each part imports only the parts below it"),
        (
            "sio_server/delivery/newcomer.py",
            "import json",
            "delivery: each module imports only the modules below it",
        ),
        (
            "sio_server/eventlog/sqlite/log.py",
            "from sio_server.eventlog.memory.log import MemoryLog",
            "eventlog: the logs share a contract and never import one another",
        ),
    ],
    ids=["engine to contract", "hub to socketio", "no layer", "no layer in a folder", "log to log"],
)
def test_a_planted_violation_fails(project: Path, module: str, line: str, broken: str) -> None:
    """An import that is not allowed, or a module that has no layer."""
    path = project / module
    source = path.read_text() if path.exists() else '"""New."""\n'
    path.write_text(f"{source}\n{line}\n")
    result = lint(project)
    assert result.returncode != 0
    assert f"{broken} BROKEN" in result.stdout
