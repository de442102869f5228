"""Items that wait, taken from the network that was served longest ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

MAX_REMEMBERED = 1_000
"""The networks that were served last, and are remembered for it."""

Item = TypeVar("Item", bound=Hashable)


class FairQueue(Generic[Item]):
    """Items that wait. The network that was served longest ago gives its first item.

    So the items of one network, however many, delay the items of the others like one. A network
    that seldom has an item does not wait behind those that always have some.
    """

    __slots__ = ("_numbers", "_order", "_served", "_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[str | None, OrderedDict[Item, None]] = {}
        # An entry for each network that waits: when it was served, and a number for equal times.
        self._order: list[tuple[int, int, str | None]] = []
        self._served: OrderedDict[str | None, int] = OrderedDict()
        self._numbers = count(1)
        self._size = 0

    def __len__(self) -> int:
        """Return the number of items."""
        return self._size

    def add(self, item: Item, network: str | None) -> None:
        """Add an item behind the others of its network.

        Args:
            item: the item. It does not wait yet.
            network: its network. None counts as one, too.
        """
        if network not in self._waiting:
            self._wait(network, OrderedDict())
        self._waiting[network][item] = None
        self._size += 1

    def pop(self) -> Item:
        """Remove the next item and return it.

        Raises:
            IndexError: there is none.
        """
        while True:
            _, _, network = heappop(self._order)
            items = self._waiting.pop(network)
            if items:
                break
        item, _ = items.popitem(last=False)
        self._size -= 1
        self._served[network] = next(self._numbers)
        self._served.move_to_end(network)
        if items:
            self._wait(network, items)
        if len(self._served) > MAX_REMEMBERED:
            self._served.popitem(last=False)
        return item

    def discard(self, item: Item, network: str | None) -> None:
        """Remove an item, if it waits."""
        items = self._waiting.get(network)
        if items and item in items:
            del items[item]
            self._size -= 1

    def _wait(self, network: str | None, items: OrderedDict[Item, None]) -> None:
        self._waiting[network] = items
        heappush(self._order, (self._served.get(network, 0), next(self._numbers), network))
