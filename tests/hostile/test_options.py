"""Options of the constructor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import socketio

from sio_server.engine import Server


class OtherJson:
    """A JSON module of one's own."""

    dumps, loads = staticmethod(json.dumps), staticmethod(json.loads)


def stock_server(**options: Any) -> Any:
    """Make a stock server."""
    return socketio.AsyncServer(async_mode="aiohttp", **options)


def takes(make: Callable[..., Any], **options: Any) -> bool:
    """Tell whether a server can be made with the options."""
    try:
        make(**options)
    except TypeError:
        return False
    return True


def test_a_misspelt_option_is_an_error() -> None:
    """Stock swallows what it does not know."""
    assert takes(stock_server, ping_intervall=3)
    assert not takes(Server, ping_intervall=3)
    assert takes(Server, ping_interval=3)


def test_one_server_s_options_do_not_change_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stock sets the JSON module on the class that all servers of the process share."""
    import engineio.packet
    import socketio.packet

    for packets in (engineio.packet, socketio.packet):
        monkeypatch.setattr(packets.Packet, "json", packets.Packet.json)
    other, our_other = stock_server(), Server()
    assert not takes(Server, json=OtherJson)
    assert other.packet_class.json is not OtherJson
    takes(stock_server, json=OtherJson)
    assert other.packet_class.json is OtherJson
    assert engineio.packet.Packet.json is OtherJson
    assert our_other.packet_class is not Server().packet_class
