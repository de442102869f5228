"""The ``auth`` of a Socket.IO handshake, and the client's past that it describes."""

from __future__ import annotations

from typing import Any

import pytest

from sio_server.contract.errors import (
    ContractError,
    InvalidJson,
    InvalidMessage,
    InvalidOffset,
    UnknownRoom,
)
from sio_server.contract.events import Offset
from sio_server.delivery.resume import ResumeRequest
from sio_server.endpoints.socketio_client import ConnectAuth

OFFSET = Offset("epoch", 3)


def parse(**auth: Any) -> ConnectAuth:
    """Check an ``auth``."""
    return ConnectAuth.parse(auth, 5)


def test_every_key_is_optional() -> None:
    """A client that sends nothing names no rooms, and can recover."""
    assert parse() == ConnectAuth(None, None, None, None, None, True)
    assert parse(token=None, rooms=None, since=None, pid=None, offset=None) == parse()


def test_other_keys_are_ignored() -> None:
    """An application may send its own data in ``auth``."""
    assert parse(usuario="Ana") == parse()


def test_valid_values_are_used() -> None:
    """An empty list of rooms means no room."""
    auth = parse(token="t", rooms=["material:roble"], since=str(OFFSET), pid="p", offset="o")
    assert auth == ConnectAuth("t", frozenset(("material:roble",)), OFFSET, "p", "o", True)
    assert parse(rooms=[]).rooms == frozenset()
    assert parse(recovery=False).recovery is False


@pytest.mark.parametrize(
    ("text", "rooms"),
    [
        ("catalog", {"catalog"}),
        ("material:[roble]", {"material:[roble]"}),
        ('["catalog","material:roble"]', {"catalog", "material:roble"}),
        (" []", set()),
    ],
)
def test_rooms_may_be_text(text: str, rooms: set[str]) -> None:
    """For clients whose ``auth`` holds strings only."""
    assert parse(rooms=text).rooms == rooms
    assert parse(recovery="false").recovery is False


@pytest.mark.parametrize(
    ("auth", "error"),
    [
        ({"token": 5}, InvalidMessage),
        ({"rooms": {}}, InvalidMessage),
        ({"rooms": "nowhere"}, UnknownRoom),
        ({"rooms": "[nowhere]"}, InvalidJson),
        ({"rooms": '["nowhere"]'}, UnknownRoom),
        ({"room": "catalog"}, InvalidMessage),
        ({"rooms": ["nowhere"]}, UnknownRoom),
        ({"rooms": [["catalog"]]}, UnknownRoom),
        ({"since": 5}, InvalidOffset),
        ({"since": "no offset!"}, InvalidOffset),
        ({"deep": [[[[[1]]]]]}, InvalidJson),
        ({"bytes": b"x"}, InvalidMessage),
    ],
    ids=str,
)
def test_a_bad_value_is_refused(auth: dict[str, Any], error: type[ContractError]) -> None:
    """This includes values that the server does not use."""
    with pytest.raises(error):
        parse(**auth)


@pytest.mark.parametrize(
    ("auth", "past"),
    [
        ({"rooms": ["catalog"]}, ResumeRequest()),
        ({"since": str(OFFSET), "rooms": "catalog"}, ResumeRequest(since=OFFSET)),
        ({"pid": "p", "rooms": ["catalog"]}, ResumeRequest(claims_session=True)),
        (
            {"pid": 5, "offset": "o", "rooms": ["catalog"]},
            ResumeRequest(claims_session=True, last_offset="o"),
        ),
        ({"rooms": []}, ResumeRequest(has_rooms=False)),
        ({"pid": "p", "recovery": False, "rooms": ["catalog"]}, ResumeRequest()),
    ],
    ids=str,
)
def test_auth_describes_the_clients_past(auth: dict[str, Any], past: ResumeRequest) -> None:
    """Without recovery, a ``pid`` is ignored."""
    assert parse(**auth).past == past
