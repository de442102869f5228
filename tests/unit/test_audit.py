"""What ``make audit`` makes of the services' answers. The services themselves are elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import audit

SOUND = {"dependencies": [{"name": "aiohttp", "version": "1", "vulns": []}]}
WEAK = {"dependencies": [{"name": "aiohttp", "version": "1", "vulns": [{"id": "CVE-1"}]}]}
SKIPPED = {"dependencies": [{"name": "aiohttp", "skip_reason": "not found"}]}


@pytest.mark.parametrize(
    ("python", "node", "status", "said"),
    [
        (SOUND, {"vulnerabilities": {}}, 0, ""),
        (WEAK, {"vulnerabilities": {}}, 1, "known weakness: aiohttp 1: CVE-1"),
        (SOUND, {"vulnerabilities": {"ws": {"severity": "high"}}}, 1, "ws (high)"),
        (SKIPPED, {"vulnerabilities": {}}, 0, "Python packages does not answer"),
        ({}, {"vulnerabilities": {}}, 0, "Python packages does not answer"),
        (SOUND, {"message": "405"}, 0, "clients/javascript does not answer"),
    ],
)
def test_only_a_known_weakness_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    python: dict[str, Any],
    node: dict[str, Any],
    status: int,
    said: str,
) -> None:
    """A service that does not answer is named, and says nothing about the dependencies."""
    monkeypatch.setattr(audit, "_ask", lambda *command: node if command[0] == "npm" else python)
    assert audit.main() == status
    printed = capsys.readouterr().out
    assert said in printed
    assert bool(printed) is bool(said)
