"""The types of the JavaScript client, generated from the server's models and from what it sends.

``python -m tests.support.typescript`` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sio_server.contract.commands import EVENT_NAMES
from sio_server.contract.errors import Fault, InvalidFurniture
from sio_server.contract.events import (
    EVENT_TYPES,
    FURNITURE_FIELDS,
    Event,
    Furniture,
    Offset,
    Receipt,
)
from sio_server.delivery.fanout import CaughtUp
from sio_server.delivery.resume import Start
from tests.conftest import load_contract
from tests.support.server import ROOT

EVENTS = ROOT / "clients/javascript/src/events.ts"

HEAD = "/** What the server and its clients send. Generated from the server by `make docs`. */\n"

TYPES = """
/** A failure, the same on every transport. */
export interface ContractError {{
  code: ErrorCode;
  /** One sentence for the person who reads it. */
  message: string;
  /** The bad fields, if the error is about fields. */
  details?: ErrorDetail[];
}}

/** The answer to a command. */
export type Answer<Result> = ({{ ok: true }} & Result) | {{ ok: false; error: ContractError }};

/** The `auth` of a handshake. `pid` and `offset` are socket.io-client's own. */
export interface HandshakeAuth {{
  token?: string | undefined;
  rooms?: readonly string[] | undefined;
  /** Ask for all events after this offset. */
  since?: string | undefined;
  /** With false, handlers get no offset, and the session cannot be recovered. */
  recovery?: boolean;
}}

/** For a bare socket.io-client: `Socket<ServerToClientEvents, ClientToServerEvents>`. */
export interface ServerToClientEvents {{
{listened}
  ready: (ready: Ready) => void;
  pong: (pong: Pong) => void;
  /** The failure of a command that was emitted without an ack; `event` names the command. */
  error: (error: ContractError & {{ event?: string }}) => void;
}}

type Ack<Result> = (answer: Answer<Result>) => void;
type Publish = (message: {{ furniture: Furniture; id?: string }}, ack: Ack<Receipt>) => void;
type ChangeRooms = (rooms: string | readonly string[], ack: Ack<{{ rooms: string[] }}>) => void;
type Authenticate = (
  argument: {{ token: string }},
  ack: Ack<{{ expires: string | null; rooms: string[] }}>,
) => void;
type SendMessage = (message: object | string, ack: (answer: Answer<object> | Pong) => void) => void;
type Ping = (ack: (pong: Pong) => void) => void;

/** The commands. Their types require an ack: without one, a failure comes as the event `error`. */
export interface ClientToServerEvents {{
{emitted}
}}
"""

COMMANDS = {
    "ping": "Ping",
    "subscribe": "ChangeRooms",
    "unsubscribe": "ChangeRooms",
    "authenticate": "Authenticate",
    "message": "SendMessage",
}
"""The commands that are no events of the catalogue."""


def events_module() -> str:
    """Return the text of ``events.ts``."""
    offset = Offset("e", 1)
    event = json.loads(Event(EVENT_TYPES[0], {}, "i").body("t"))
    ready = CaughtUp(Start(offset), offset, 0).ready_message(["catalog"])
    (fault,) = InvalidFurniture.of_faults([Fault("", "")]).as_dict()["details"]
    blocks = [
        _event_types(),
        _furniture(),
        _interface(
            "FurnitureEvent<F extends Furniture = Furniture>",
            "A change of one piece of furniture.",
            event,
            type="FurnitureEventType",
            furniture="F",
        ),
        _interface(
            "Receipt", "The event is in the log permanently.", Receipt("", offset, "").as_dict()
        ),
        _interface("Ready", "The consumer has caught up, and is live.", ready, type='"ready"'),
        _interface("Pong", "The answer to a ping.", {"timestamp": ""}, type='"pong"'),
        _error_codes(),
        _interface("ErrorDetail", "One bad field.", fault),
    ]
    commands = (*EVENT_TYPES, *sorted(set(EVENT_NAMES) - set(EVENT_TYPES)))
    types = TYPES.format(
        listened="\n".join(
            f"  {name}: (event: FurnitureEvent, offset: string) => void;" for name in EVENT_TYPES
        ),
        emitted="\n".join(f"  {name}: {COMMANDS.get(name, 'Publish')};" for name in commands),
    )
    return HEAD + "".join(blocks) + types


def _event_types() -> str:
    types = ", ".join(f'"{name}"' for name in EVENT_TYPES)
    return (
        f"\nexport const EVENT_TYPES = [{types}] as const;\n"
        "export type FurnitureEventType = (typeof EVENT_TYPES)[number];\n"
    )


def _error_codes() -> str:
    codes = "".join(f'\n  | "{code}"' for code in load_contract()["errors"])
    return f"\n/** The codes of failures. */\nexport type ErrorCode ={codes};\n"


def _furniture() -> str:
    schema = Furniture.model_json_schema()
    fields = [
        f"  /** {rule.message.replace('must be a', 'A', 1)}. */\n"
        f"  {name}: {_type_of_schema(schema['properties'][name])};\n"
        for name, rule in FURNITURE_FIELDS.items()
    ]
    assert set(schema["required"]) == set(FURNITURE_FIELDS)
    assert schema["additionalProperties"] is True
    return (
        "\n/** A piece of furniture. */\nexport interface Furniture {\n"
        + "".join(fields)
        + "  /** Further fields are delivered as they came. */\n  [field: string]: unknown;\n}\n"
    )


def _type_of_schema(schema: Mapping[str, Any]) -> str:
    kinds = {kind["type"] for kind in schema.get("anyOf", [schema])}
    return {"string": "string", "integer": "number", "number": "number"}[min(kinds)]


def _interface(name: str, purpose: str, sample: Mapping[str, Any], **types: str) -> str:
    """Return an interface with the fields of a message that the server sends."""
    fields = types | {field: types.get(field, _type_of(value)) for field, value in sample.items()}
    lines = "".join(f"  {field}: {kind};\n" for field, kind in fields.items())
    return f"\n/** {purpose} */\nexport interface {name} {{\n{lines}}}\n"


def _type_of(value: object) -> str:
    if isinstance(value, list):
        return f"{_type_of(value[0])}[]"
    kinds: dict[type, str] = {bool: "boolean", int: "number", str: "string", dict: "object"}
    return kinds[type(value)]


if __name__ == "__main__":
    EVENTS.write_text(events_module())
