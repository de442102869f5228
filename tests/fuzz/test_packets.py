"""Engine.IO and Socket.IO packets, over both transports, as the grammars would have them or not."""

from __future__ import annotations

import pytest

from tests.fuzz.budget import fuzz, share
from tests.fuzz.client import TRANSPORTS, PollingClient, WebSocketClient
from tests.fuzz.exchange import exchange
from tests.fuzz.strategies import batches
from tests.fuzz.target import Target

PARTS = {"websocket": 30, "polling": 20}


@pytest.mark.parametrize("transport", TRANSPORTS, ids=[one.name for one in TRANSPORTS])
def test_packets(target: Target, transport: type[WebSocketClient | PollingClient]) -> None:
    """A valid packet is answered and an invalid one ends the session, and nothing else ends."""
    name = f"packets over {transport.name}"
    fuzz(
        name,
        share(PARTS[transport.name]),
        batches,
        lambda batch: target.run(exchange(target, transport, batch, name)),
    )


@pytest.mark.parametrize("arguments", ["", ',"x"', ",{}", ",1,2"])
@pytest.mark.parametrize("transport", TRANSPORTS, ids=[one.name for one in TRANSPORTS])
def test_event_named_like_the_catch_all(
    target: Target, transport: type[WebSocketClient | PollingClient], arguments: str
) -> None:
    """An event ``*`` is one like any other; it can't choose the sid that its handler gets."""
    batch = [[f'421["*"{arguments}]'], [f'42["*"{arguments}]']]
    target.run(exchange(target, transport, batch, "catch-all"))
