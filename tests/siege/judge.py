"""The targets of a siege, and the judgement of a phase. Pure.

A phase that misses only some of three targets is repeated, see ``run.py``. The longest wait and the
acks depend on a quiet machine. Memory that does not come back may be a leak, or a level: in a
process that was large once, Python keeps each arena of 1 MiB in which a single object still lives
(``docs/decisions/memory.md``). A short attack may reach this level at the second try. A leak grows
each time that the attack is repeated. All other targets hold at the first try. The report names the
memory of a new server, too, so that a level does not look like a start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tests.siege.figures import MIB, Row

CALM_FACTOR = 10
"""See ``Targets.wait_seconds``."""

MEMORY_FACTOR = 1.05
MEMORY_SLACK_BYTES = 8 * MIB
"""After a rest, the memory is at most the memory before, times the factor, plus the slack.

The slack does not grow with the length of an attack. It is 4 MiB of recent events, which are kept
for clients that reconnect, 2 MiB of pages in SQLite's cache, and 2 MiB of free memory that the
allocators of Python and C keep. Attacks that leave nothing behind stay below 6 MiB in all.
"""

ONE_CONNECTION_BYTES = 32 * MIB
"""The most memory that a single attacking connection may cost."""

ALLOWED_STATUS = "503"


class Targets(NamedTuple):
    """The targets that depend on the machine, and on what else it does.

    Attributes:
        wait_seconds: a healthy wait lasts at most so long, plus ``CALM_FACTOR`` times the longest
            one of the calm.
        acks_share: the healthy publisher gets at least this share of its acks in the calm.
    """

    wait_seconds: float
    acks_share: float

    def longest(self, calm: Row) -> float:
        """Return the longest wait that is allowed, in seconds."""
        return self.wait_seconds + CALM_FACTOR * calm.waits.longest


QUIET = Targets(0.25, 0.6)
"""For a machine that does nothing else. Two cores are enough."""

BUSY = Targets(2, 0.2)
"""For a machine that may do anything else. A client that holds up the others still misses them."""


class Rule(StrEnum):
    """A target, named by its violation."""

    DIED = "the server's process has ended"
    LONG_WAIT = "a healthy publish waited too long"
    FEW_ACKS = "the healthy publisher got too few acks"
    MEMORY_KEPT = "the server's memory did not come back"
    MEMORY_OF_ONE = "an attacking connection cost too much memory"
    TRACEBACK = "the server's log has a traceback"
    STATUS = "a client got a 5xx other than 503"
    MISSING = "a healthy consumer lacks events"
    DOUBLED = "a healthy consumer got events twice, or out of order"
    BEHIND = "a healthy consumer was not back in time"
    GAP = "a gap was announced to a healthy consumer"
    NO_ENTRY = "/healthz did not answer 200 to a newcomer during the attack"
    UNHEALTHY = "/healthz does not answer 200 after the rest"
    STUCK = "the healthy publisher still waits after the rest"
    STOPPED = "the attack was stopped, to protect the machine"
    SILENT = "the server ran out of files, and its log does not say so"


REPEATED = frozenset((Rule.LONG_WAIT, Rule.FEW_ACKS, Rule.MEMORY_KEPT))
"""The rules that are judged by the best of two tries; the memory alone, by the best of three."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A missed target.

    Attributes:
        rule: the target.
        log: the event log.
        attack: the name of the attack.
        description: the figures.
    """

    rule: Rule
    log: str
    attack: str
    description: str

    def __str__(self) -> str:
        return f"{self.rule.name} {self.log} {self.attack}: {self.rule} ({self.description})"


def memory_allowed(before: int) -> float:
    """Return the memory that a server may hold after a rest, in bytes."""
    return before * MEMORY_FACTOR + MEMORY_SLACK_BYTES


def judge(row: Row, calm: Row, targets: Targets = QUIET) -> list[Failure]:
    """Return the targets that a phase has missed.

    Args:
        row: the figures of the phase.
        calm: the figures of the phase without an attack, with the same event log.
        targets: see ``Targets``.
    """
    return [
        Failure(rule, row.log, row.attack, figures)
        for rule, is_broken, figures in _checks(row, calm, targets)
        if is_broken and rule.name not in row.kept
    ]


def better(one: Row, other: Row, calm: Row, targets: Targets = QUIET) -> Row:
    """Return the row of two tries. A target of ``REPEATED`` is missed if both have missed it.

    Any other target is missed if one of them has missed it.
    """

    def misses(row: Row) -> set[Rule]:
        return {failure.rule for failure in judge(row, calm, targets)}

    first, second = sorted(
        (one, other), key=lambda row: (misses(row) <= REPEATED, len(misses(row)))
    )
    excused = (misses(first) - misses(second)) & REPEATED
    first.kept |= second.kept | {rule.name for rule in excused}
    return first


def _checks(row: Row, calm: Row, targets: Targets) -> Iterable[tuple[Rule, bool, str]]:
    """Return each rule, whether the phase has broken it, and the figures for it."""
    waits, got, statuses = row.waits, row.deliveries, row.statuses
    longest, memory = targets.longest(calm), memory_allowed(row.start)
    wait_figures = f"{waits.longest * 1e3:.0f} ms, allowed are {longest * 1e3:.0f} ms"
    memory_figures = f"{row.start / MIB:.0f} MiB before, {row.rest / MIB:.0f} MiB after the rest"
    one_figures = f"{row.of_one / MIB:.1f} MiB for each of {row.connections}"
    return (
        (Rule.DIED, row.exit_status is not None, f"exit status {row.exit_status}"),
        (Rule.LONG_WAIT, waits.longest > longest, wait_figures),
        (Rule.FEW_ACKS, row.share < targets.acks_share, f"{row.share:.0%} of those in the calm"),
        (Rule.MEMORY_KEPT, row.rest > memory, memory_figures),
        (Rule.MEMORY_OF_ONE, row.of_one > ONE_CONNECTION_BYTES, one_figures),
        (
            Rule.TRACEBACK,
            bool(row.tracebacks),
            f"{len(row.tracebacks)} times{_first(row.tracebacks)}",
        ),
        (Rule.STATUS, bool(statuses.keys() - {ALLOWED_STATUS}), f"{dict(statuses)}"),
        (Rule.MISSING, got.missing > 0, f"{got.missing} deliveries"),
        (Rule.DOUBLED, got.doubled > 0, f"{got.doubled} deliveries"),
        (Rule.BEHIND, got.behind > 0, f"{got.behind} consumers"),
        (Rule.GAP, got.gaps > 0, f"{got.gaps} times"),
        (Rule.NO_ENTRY, row.newcomer != 200 and not row.lacks_files, f"it answered {row.newcomer}"),
        (Rule.UNHEALTHY, row.health != 200, f"it answers {row.health}"),
        (Rule.STUCK, row.is_stuck, f"{waits.longest:.1f} s so far"),
        (Rule.STOPPED, row.stopped is not None, f"{row.stopped}"),
        (Rule.SILENT, row.lacks_files and not row.warnings, f"{row.connections} connections"),
    )


def _first(tracebacks: list[str]) -> str:
    return f", the first one: {tracebacks[0]}" if tracebacks else ""
