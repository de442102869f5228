"""The scripts of browsers know exactly the event types of ``tests/vectors/contract.json``."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support import typescript
from tests.support.server import ROOT

CONTRACT: dict[str, Any] = json.loads((ROOT / "tests/vectors/contract.json").read_text("utf-8"))
EVENT_TYPES = set(CONTRACT["event_types"])
PAGE = ROOT / "sio_server/static/page"


def test_the_types_of_the_javascript_client_are_those_of_the_server() -> None:
    """``make docs`` writes them."""
    assert typescript.EVENTS.read_text("utf-8") == typescript.events_module()


def test_the_live_page_names_exactly_the_contracts_event_types() -> None:
    """It has a word and a sign for each event type and no other, in each language."""
    for path in (*PAGE.glob("words_*.js"), PAGE / "dom.js"):
        named = set(re.findall(r"^ +(furniture_\w+):", path.read_text("utf-8"), re.MULTILINE))
        assert named == EVENT_TYPES, path.name
