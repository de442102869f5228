"""The words of the wire contract that the whole client uses: event types, fields and bounds.

Pure. The client and the server never import each other, so both write these words once. The
repository's ``tests/vectors/contract.json`` holds them too, and a test compares whole sets.
"""

from typing import Final

__all__ = [
    "CREATED",
    "DELETED",
    "EVENT_TYPES",
    "FURNITURE_FIELDS",
    "ID_RULE",
    "MAX_BATCH_BYTES",
    "MAX_BATCH_EVENTS",
    "MAX_EVENT_BYTES",
    "MAX_ID_CHARACTERS",
    "MAX_INTEGER_DIGITS",
    "MAX_JSON_DEPTH",
    "MAX_OFFSET_CHARACTERS",
    "MAX_PAGE_EVENTS",
    "MIN_SECRET_BYTES",
    "REQUIRED",
    "ROOM_KINDS",
    "UPDATED",
]

CREATED: Final = "furniture_created"
UPDATED: Final = "furniture_updated"
DELETED: Final = "furniture_deleted"

EVENT_TYPES: Final = (CREATED, UPDATED, DELETED)

FURNITURE_FIELDS: Final = (
    "furniture_id",
    "nombre",
    "descripcion",
    "altura",
    "ancho",
    "material",
    "autor_username",
)
"""All of them are required."""

ROOM_KINDS: Final = ("furniture", "material", "author", "type")
"""The kinds of rooms. The room ``catalog`` has no kind."""

MIN_SECRET_BYTES: Final = 32
"""Of a token's secret. RFC 7518, section 3.2: a key for HS256 is at least as long as the hash."""

MAX_ID_CHARACTERS: Final = 128
MAX_OFFSET_CHARACTERS: Final = 64
MAX_INTEGER_DIGITS: Final = 100
MAX_JSON_DEPTH: Final = 64
MAX_EVENT_BYTES: Final = 65_536
MAX_BATCH_BYTES: Final = 1_048_576
MAX_BATCH_EVENTS: Final = 1000
MAX_PAGE_EVENTS: Final = 1000

REQUIRED: Final = "is required"
ID_RULE: Final = f"must be 1 to {MAX_ID_CHARACTERS} printable ASCII characters"
