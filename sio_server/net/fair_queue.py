"""Items that wait, taken from the network that was served least."""

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
    """Items that wait. The network that was served least gives its first item.

    So the items of one network, however many, delay the items of the others like one. A network
    that seldom has an item does not wait behind those that always have some. (This is start-time
    fair queueing. A network that was idle does not save up service: then it would hold up the
    others later.)
    """

    __slots__ = ("_level", "_numbers", "_order", "_served", "_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[Hashable, OrderedDict[Item, int]] = {}
        # An entry for each network that waits: its service, and a number for equal services.
        self._order: list[tuple[tuple[int, int], int, Hashable]] = []
        # The service of each network, and a number that tells when it was served.
        self._served: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()
        self._level = 0  # the service of those that are served now
        self._numbers = count(1)
        self._size = 0

    def __len__(self) -> int:
        """Return the number of items."""
        return self._size

    def add(self, item: Item, network: Hashable, cost: int = 1) -> None:
        """Add an item behind the others of its network.

        Args:
            item: the item. It does not wait yet.
            network: its network, or anything else that stands for its sender.
            cost: how much service it is, in any unit that is the same for all items.
        """
        if network not in self._waiting:
            self._wait(network, OrderedDict())
        self._waiting[network][item] = cost
        self._size += 1

    def only_network(self, network: Hashable) -> bool:
        """Tell whether all items are of this network."""
        return len(self._waiting) == 1 and network in self._waiting

    def pop(self) -> tuple[Item, Hashable, int]:
        """Remove the next item. Return it with its network and its cost.

        Raises:
            IndexError: there is none.
        """
        while True:
            (service, _), _, network = heappop(self._order)
            items = self._waiting.pop(network)
            if items:
                break
        item, cost = items.popitem(last=False)
        self._size -= 1
        self._level = max(self._level, service)
        self._served[network] = (self._level + cost, next(self._numbers))
        self._served.move_to_end(network)
        if items:
            self._wait(network, items)
        if len(self._served) > MAX_REMEMBERED:
            self._served.popitem(last=False)
        return item, network, cost

    def discard(self, item: Item, network: Hashable) -> None:
        """Remove an item, if it waits."""
        items = self._waiting.get(network)
        if items and item in items:
            del items[item]
            self._size -= 1

    def _wait(self, network: Hashable, items: OrderedDict[Item, int]) -> None:
        self._waiting[network] = items
        heappush(self._order, (self._served.get(network, (0, 0)), next(self._numbers), network))
