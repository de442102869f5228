"""The examples of the Python client run as they are written, on a server with their keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from furniture_events import Producer

from tests.conftest import load_vectors
from tests.support.pages import ROOT, blocks
from tests.support.server import Server

FURNITURE = {**load_vectors("events.json")[0]["publish"]["furniture"], "material": "roble"}
SECRET = "a-secret-of-at-least-32-bytes-from-a-file"


@pytest.mark.parametrize("page", ["clients/python/README.md", "docs/how-to/single-page-app.md"])
def test_the_examples_run(page: str, start_server: Callable[..., Server]) -> None:
    """The reader has the furniture. An example that catches errors has nothing to catch."""
    keys = "a-long-producer-key,the-key-of-the-backend"
    server = start_server(producer_keys=keys, jwt_secret=SECRET, open_publish="off")
    for text in blocks("python", ROOT / page):
        for address in ("http://127.0.0.1:8765", "https://events.example"):
            text = text.replace(address, server.url)  # noqa: PLW2901
        names: dict[str, object] = {"furniture": FURNITURE}
        exec(text, names)
        assert "published" in names or "except" not in text
        if isinstance(producer := names.get("producer"), Producer):
            producer.close()
