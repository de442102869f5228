"""Publish furniture events to the broker over HTTP.

``Producer`` blocks and ``AsyncProducer`` awaits. Both retry temporary failures, and both give every
event an ``id``, so that no retry appends it twice. The errors are in ``furniture_events.errors``,
and ``furniture_events.testing`` has producers for your own tests. This package does not subscribe:
``history`` reads pages of the log.
"""

from furniture_events._async import AsyncProducer
from furniture_events._results import Detail, HistoryPage, Published, Revoked
from furniture_events._sync import Producer
from furniture_events.errors import (
    AnswerTimeout,
    ConfigurationError,
    ConnectionLost,
    Forbidden,
    FurnitureEventsError,
    IdConflict,
    Internal,
    InvalidFurniture,
    InvalidJson,
    InvalidMessage,
    InvalidOffset,
    LogUnavailable,
    MethodNotAllowed,
    NotAttempted,
    NotFound,
    ProducerClosed,
    RateLimited,
    Refused,
    ShuttingDown,
    TokenExpired,
    TooLarge,
    TooManyConnections,
    TooManyEvents,
    TransportError,
    Unauthorized,
    UnexpectedAnswer,
    UnknownRoom,
    UnknownType,
    Unreachable,
    UnsupportedMediaType,
)

__all__ = [
    "AnswerTimeout",
    "AsyncProducer",
    "ConfigurationError",
    "ConnectionLost",
    "Detail",
    "Forbidden",
    "FurnitureEventsError",
    "HistoryPage",
    "IdConflict",
    "Internal",
    "InvalidFurniture",
    "InvalidJson",
    "InvalidMessage",
    "InvalidOffset",
    "LogUnavailable",
    "MethodNotAllowed",
    "NotAttempted",
    "NotFound",
    "Producer",
    "ProducerClosed",
    "Published",
    "RateLimited",
    "Refused",
    "Revoked",
    "ShuttingDown",
    "TokenExpired",
    "TooLarge",
    "TooManyConnections",
    "TooManyEvents",
    "TransportError",
    "Unauthorized",
    "UnexpectedAnswer",
    "UnknownRoom",
    "UnknownType",
    "Unreachable",
    "UnsupportedMediaType",
    "__version__",
]

__version__ = "0.1.0"
