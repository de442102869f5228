"""The page on security names tests that exist."""

from __future__ import annotations

import re

from tests.support.server import ROOT


def test_every_named_test_exists() -> None:
    """A table of threats is worth as much as the tests that it names."""
    page = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/[^`]+)`", page)
    assert len(named) > 10
    for name in named:
        path, _, function = name.partition("::")
        assert (ROOT / path).exists(), name
        if function:
            assert re.search(rf"def {function}\(", (ROOT / path).read_text()), name
