"""Ask the advisory services about known weaknesses of the dependencies: ``make audit``.

A known weakness ends it with status 1. A service that does not answer is only mentioned: it says
nothing about the dependencies.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.support.server import ROOT

SECONDS = 60
NODE_FOLDERS = ("clients/javascript",)
"""What is delivered. The packages of the tests and of the benchmarks are not."""


def main() -> int:
    """Ask both services. Return the exit status."""
    found = audit_python()
    for folder in NODE_FOLDERS:
        found += audit_node(folder)
    for line in found:
        print(f"known weakness: {line}")
    return 1 if found else 0


def audit_python() -> list[str]:
    """Return the known weaknesses of the server's Python packages."""
    answer = _ask(
        *(sys.executable, "-m", "pip_audit", "--requirement", str(ROOT / "requirements.txt")),
        *("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"),
        *("--timeout", "10"),
    )
    packages = answer.get("dependencies", [])
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        print("the advisory service for Python packages does not answer: nothing is known")
    return [
        f"{package['name']} {package['version']}: {weakness['id']}"
        for package in audited
        for weakness in package["vulns"]
    ]


def audit_node(folder: str) -> list[str]:
    """Return the known weaknesses of the Node.js packages of a folder."""
    answer = _ask("npm", "audit", "--json", "--omit=dev", "--prefix", str(ROOT / folder))
    if "vulnerabilities" not in answer:
        print(f"the advisory service for {folder} does not answer: nothing is known")
    return [
        f"{folder}: {name} ({weakness['severity']})"
        for name, weakness in answer.get("vulnerabilities", {}).items()
    ]


def _ask(*command: str) -> dict[str, Any]:
    """Return a program's JSON; empty if it printed none in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        answer = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
