"""Sessions that the server keeps for consumers that have left."""

from __future__ import annotations

import re

from tests.siege.attack import Await, Script, Target, attack
from tests.siege.attacks.doors import LONG_ROOMS, dumps, polling, socketio, text


@attack(20)
def kept_sessions(target: Target) -> Script:
    """Connect with a hundred long rooms, leave, and connect again, over WebSocket."""
    yield from socketio({"rooms": LONG_ROOMS})


@attack(20)
def kept_sessions_polling(target: Target) -> Script:
    """Connect with a hundred long rooms over polling, and never come back."""
    yield from polling({"rooms": LONG_ROOMS})


@attack(4)
def kept_subscriptions(target: Target) -> Script:
    """Subscribe to 98 long rooms, one after another, leave, and come back."""
    yield from socketio()
    for number, room in enumerate(LONG_ROOMS[:98]):
        yield text(f"42{number}" + dumps(["subscribe", room]))
        yield Await(re.compile(rb"43%d\[" % number))
