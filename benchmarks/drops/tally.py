"""Count the arrivals of one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.figures import Figures, percentiles

IN_TIME_SECONDS = (1, 5)


@dataclass
class Tally:
    """The arrivals of numbered events at numbered consumers.

    Attributes:
        consumers: how many there are.
        first: the time of each event's first arrival, in seconds, by consumer and number.
        repeated: arrivals of an event that the consumer had already.
    """

    consumers: int
    first: dict[tuple[int, int], float] = field(default_factory=dict)
    repeated: list[tuple[int, int]] = field(default_factory=list)

    def add(self, arrivals: Iterable[tuple[int, int, int]]) -> None:
        """Count arrivals.

        Args:
            arrivals: consumer, number, and nanoseconds of the monotonic clock.
        """
        for consumer, number, nanoseconds in arrivals:
            if (consumer, number) in self.first:
                self.repeated.append((consumer, number))
            else:
                self.first[consumer, number] = nanoseconds / 1e9

    def has_all(self, numbers: Iterable[int]) -> bool:
        """Return whether all consumers have all of these events."""
        return all(
            (consumer, number) in self.first
            for number in numbers
            for consumer in range(self.consumers)
        )

    def reached(self) -> set[int]:
        """Return the consumers that have had an event."""
        return {consumer for consumer, _ in self.first}

    def figures(self, due_at: Mapping[int, float]) -> Figures:
        """Return the figures of the events in ``due_at``.

        Args:
            due_at: the time at which each event was due, in seconds of the monotonic clock. Its
                delay begins here, so that it includes the time that the publisher had to wait.
        """
        expected = len(due_at) * self.consumers
        delays = [
            arrived - due_at[number]
            for (_, number), arrived in self.first.items()
            if number in due_at
        ]
        repeated = sum(number in due_at for _, number in self.repeated)
        in_time = {
            f"within {limit} s %": sum(delay <= limit for delay in delays) / expected * 100
            for limit in IN_TIME_SECONDS
        }
        return {
            "delivered %": len(delays) / expected * 100,
            **in_time,
            "twice %": repeated / expected * 100,
            **(percentiles(delays) if delays else {}),
        }
