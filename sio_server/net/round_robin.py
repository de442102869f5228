"""Items that wait, taken from one network after another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class RoundRobin(Generic[Item]):
    """Items that wait. Each network in turn gives its first item.

    So the items of one network, however many, delay the items of the others like one.
    """

    __slots__ = ("_by_network",)

    def __init__(self) -> None:
        self._by_network: OrderedDict[Hashable, OrderedDict[Item, None]] = OrderedDict()

    def __bool__(self) -> bool:
        """Tell whether an item waits."""
        return bool(self._by_network)

    def add(self, item: Item, network: str | None) -> None:
        """Add an item behind the others of its network. None: it has a network of its own."""
        key = item if network is None else network
        self._by_network.setdefault(key, OrderedDict())[item] = None

    def pop(self) -> Item:
        """Remove the next item and return it. Its network is the last one now."""
        key, items = self._by_network.popitem(last=False)
        item, _ = items.popitem(last=False)
        if items:
            self._by_network[key] = items
        return item

    def discard(self, item: Item, network: str | None) -> None:
        """Remove an item, if it waits."""
        key = item if network is None else network
        items = self._by_network.get(key)
        if items is not None:
            items.pop(item, None)
            if not items:
                del self._by_network[key]
