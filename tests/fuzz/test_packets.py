"""Valid and invalid packets of Engine.IO and Socket.IO, over both transports."""

from __future__ import annotations

import pytest

from tests.fuzz.budget import fuzz, share
from tests.fuzz.client import TRANSPORTS, PollingClient, WebSocketClient
from tests.fuzz.exchange import exchange
from tests.fuzz.strategies import batches
from tests.fuzz.target import Target

PARTS = {"websocket": 30, "polling": 20}


@pytest.mark.parametrize("transport", TRANSPORTS, ids=[one.name for one in TRANSPORTS])
def test_valid_packets_are_answered_and_invalid_ones_end_the_session(
    target: Target, transport: type[WebSocketClient | PollingClient]
) -> None:
    """The answers and the end of the session are those of the oracle."""
    name = f"packets over {transport.name}"
    fuzz(
        name,
        share(PARTS[transport.name]),
        batches,
        lambda batch: target.run(exchange(target, transport, batch, name)),
    )


@pytest.mark.parametrize("arguments", ["", ',"x"', ",{}", ",1,2"])
@pytest.mark.parametrize("transport", TRANSPORTS, ids=[one.name for one in TRANSPORTS])
def test_an_event_with_the_name_of_the_catch_all_handler_is_an_ordinary_event(
    target: Target, transport: type[WebSocketClient | PollingClient], arguments: str
) -> None:
    """An event ``*`` cannot choose the sid that its handler gets."""
    batch = [[f'421["*"{arguments}]'], [f'42["*"{arguments}]']]
    target.run(exchange(target, transport, batch, "catch-all"))
