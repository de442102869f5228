"""Wrong options of the constructor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import socketio

from sio_server.engine import Server


class OtherJson:
    """A custom JSON module."""

    dumps, loads = staticmethod(json.dumps), staticmethod(json.loads)


def stock_server(**options: Any) -> Any:
    """Make a stock server."""
    return socketio.AsyncServer(async_mode="aiohttp", **options)


def accepts(make: Callable[..., Any], **options: Any) -> bool:
    """Return whether a server accepts the options."""
    try:
        make(**options)
    except TypeError:
        return False
    return True


def test_a_misspelt_option_is_an_error() -> None:
    """The stock server ignores options that it does not know."""
    assert accepts(stock_server, ping_intervall=3)
    assert not accepts(Server, ping_intervall=3)
    assert accepts(Server, ping_interval=3)


def test_the_options_of_one_server_do_not_change_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stock server sets the JSON module on a class that all servers of the process share."""
    import engineio.packet
    import socketio.packet

    for packets in (engineio.packet, socketio.packet):
        monkeypatch.setattr(packets.Packet, "json", packets.Packet.json)
    other, our_other = stock_server(), Server()
    assert not accepts(Server, json=OtherJson)
    assert other.packet_class.json is not OtherJson
    accepts(stock_server, json=OtherJson)
    assert other.packet_class.json is OtherJson
    assert engineio.packet.Packet.json is OtherJson
    assert our_other.packet_class is not Server().packet_class
