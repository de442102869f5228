"""The figures of one phase, and how they follow from the records. Pure.

Times are seconds of the machine's monotonic clock, which all processes of a siege share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

INTERVAL_SECONDS = 0.05
"""The time between two events of the healthy publisher."""

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Publish:
    """One event of the healthy publisher.

    Attributes:
        began: the time of the first attempt.
        acknowledged: the time of its ack; None if there is none yet.
    """

    began: float
    acknowledged: float | None

    def waited(self, now: float) -> float:
        """Return how long the publisher waited, or has waited so far."""
        return (now if self.acknowledged is None else self.acknowledged) - self.began


@dataclass(frozen=True, slots=True)
class Waits:
    """What the publisher felt in a phase.

    Attributes:
        acks: acks a second.
        p50: seconds.
        p99: seconds.
        longest: seconds, of the longest wait that touches the phase or the rest after it.
    """

    acks: float
    p50: float
    p99: float
    longest: float


def waits(publishes: Sequence[Publish], start: float, end: float, until: float) -> Waits:
    """Return the publisher's waits in a phase.

    A publish that waits takes the place of those that were due meanwhile. The percentiles count
    each of them as if it had waited from its own due time. Otherwise a long freeze would be one
    wait among many. The longest wait is counted in full: also what lies before the phase's start
    or after its end, and, if the ack has not arrived, all that has passed so far.

    Args:
        publishes: all publishes, in order.
        start: the start of the attack.
        end: the end of the attack.
        until: now; the end of the rest after it.
    """
    touching = [it for it in publishes if it.began < until and it.began + it.waited(until) > start]
    due: list[float] = []
    for publish in touching:
        waited = publish.waited(until)
        missed = range(int(waited / INTERVAL_SECONDS) + 1)
        due += [
            waited - number * INTERVAL_SECONDS
            for number in missed
            if start <= publish.began + number * INTERVAL_SECONDS < end
        ]
    due.sort()
    acks = sum(it.acknowledged is not None and start <= it.acknowledged < end for it in publishes)
    longest = max((it.waited(until) for it in touching), default=until - start)
    if not due:
        due = [longest]
    return Waits(
        acks / (end - start), due[len(due) // 2], due[len(due) * 99 // 100], max(longest, 0.0)
    )


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The events that the healthy consumers of a server have got.

    Attributes:
        missing: events that a consumer lacks, summed over the consumers.
        doubled: events that a consumer got again or out of order, summed over the consumers.
        behind: consumers that are not connected, or have not reached the last event.
        cuts: connections of consumers that the server ended.
        refusals: attempts to come back that failed.
        gaps: announced gaps.
    """

    missing: int = 0
    doubled: int = 0
    behind: int = 0
    cuts: int = 0
    refusals: int = 0
    gaps: int = 0


def faults(runs: Sequence[Sequence[int]], last: int) -> tuple[int, int]:
    """Compare a consumer's events with all events, which have the numbers from 1.

    Args:
        runs: the numbers in the order of arrival, as runs of consecutive numbers.
        last: the last event that the consumer must have by now, and the first ones that it has
            not had to get are those after it.

    Returns:
        How many numbers up to the last are missing, and how many came again or out of order.
    """
    covered: list[tuple[int, int]] = []
    doubled = highest = 0
    for first, final in runs:
        if first <= highest:
            doubled += min(final, highest) - first + 1
        highest = max(highest, final)
        covered.append((first, final))
    missing, expected = 0, 1
    for first, final in sorted(covered):
        if first > expected:
            missing += max(0, min(first, last + 1) - expected)
        expected = max(expected, final + 1)
    return missing + max(0, last + 1 - expected), doubled


@dataclass(slots=True)
class Row:
    """The figures of one phase. Sizes are bytes, times seconds.

    Attributes:
        attack: the name of the attack.
        log: the event log.
        seconds: the length of the attack.
        waits: what the publisher felt.
        share: its acks a second, divided by those of the calm.
        start, end, rest: the server's memory before, at the end, and after the rest.
        peak: the maximum of its memory.
        connections: the most attacking connections at once.
        opened: all attacking connections.
        sent: bytes that the attackers have sent.
        disk: growth of the event log's storage.
        printed: growth of the server's log.
        answers: the HTTP statuses that the attackers got.
        statuses: the statuses of 500 and more that any client got.
        tracebacks: the lines of the server's log that hold one.
        warnings: warnings and errors in the server's log that speak of files or connections.
        deliveries: the healthy consumers' events.
        publisher_cuts: connections of the publisher that the server ended.
        errors: the errors that the publisher got, by code.
        exit_status: of the server's process, if it has died.
        newcomer: the status of ``/healthz`` during the attack; None without an answer.
        health: the same after the rest.
        stopped: why the siege stopped the attack early, if it did.
        is_stuck: the publisher still waits after the rest.
        lacks_files: whether the attack opens more files than the server may have.
        kept: the names of targets that another try of the same attack has kept.
    """

    attack: str
    log: str
    seconds: float
    waits: Waits
    share: float
    start: int
    end: int
    rest: int
    peak: int
    connections: int = 0
    opened: int = 0
    sent: int = 0
    disk: int = 0
    printed: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    tracebacks: list[str] = field(default_factory=list)
    warnings: int = 0
    deliveries: Deliveries = field(default_factory=Deliveries)
    publisher_cuts: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    exit_status: int | None = None
    newcomer: int | None = 200
    health: int | None = 200
    stopped: str | None = None
    is_stuck: bool = False
    lacks_files: bool = False
    kept: frozenset[str] = frozenset()

    @property
    def of_one(self) -> float:
        """The growth of memory at its peak, divided by the attacking connections."""
        return max(0, self.peak - self.start) / max(1, self.connections)

    @property
    def is_clean(self) -> bool:
        """Whether the same server can take another attack: nothing is left of this one."""
        faults = self.deliveries
        return (
            self.exit_status is None
            and not self.is_stuck
            and self.health == 200
            and not (faults.missing or faults.doubled or faults.behind)
        )
