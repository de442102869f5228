"""Objects of which each event loop has one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Value = TypeVar("Value")


class PerLoop(Generic[Value]):
    """An object for each event loop. It ends with its loop, so it must not refer to it.

    Args:
        make: makes the object.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, Value] = WeakKeyDictionary()

    def __len__(self) -> int:
        """Return the number of event loops that have one."""
        return len(self._values)

    def get(self) -> Value:
        """Return the object of the running event loop."""
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is None:
            value = self._values[loop] = self._make()
        return value
