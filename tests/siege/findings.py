"""The findings of the healthy clients, from their reports. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.siege.figures import Deliveries, Row, faults

FIRST_BAD_STATUS = "500"


def tally_of(consumers: Sequence[Mapping[str, Any]], publisher: Mapping[str, Any]) -> Counter[str]:
    """Return all that the healthy clients have counted since they started, by its name."""
    tally = Counter({"publisher_cuts": publisher["cuts"]})
    for code, count in publisher["errors"].items():
        tally[f"error {code}"] = count
    for client in (*consumers, publisher):
        statuses = map(str, client["statuses"])
        tally.update(f"status {it}" for it in statuses if it >= FIRST_BAD_STATUS)
    for consumer in consumers:
        tally.update({name: consumer[name] for name in ("cuts", "refusals", "gaps")})
    return tally


def add_deliveries(
    row: Row, consumers: Sequence[Mapping[str, Any]], last: int, tally: Counter[str]
) -> None:
    """Add the findings of a phase to its figures.

    Args:
        row: the figures.
        consumers: the reports of the healthy consumers.
        last: the number of the last acknowledged event, which every consumer must have.
        tally: what the healthy clients have counted in this phase.
    """
    compared = [faults(it["runs"], last) for it in consumers]
    row.deliveries = Deliveries(
        missing=sum(missing for missing, _ in compared),
        doubled=sum(doubled for _, doubled in compared),
        behind=sum(not it["ready"] or _last(it) < last for it in consumers),
        cuts=tally["cuts"],
        refusals=tally["refusals"],
        gaps=tally["gaps"],
    )
    row.publisher_cuts = tally["publisher_cuts"]
    row.errors = _named(tally, "error")
    row.statuses += _named(tally, "status")


def _last(consumer: Mapping[str, Any]) -> int:
    return max((final for _, final in consumer["runs"]), default=0)


def _named(tally: Counter[str], kind: str) -> Counter[str]:
    pairs = ((name.split(" "), count) for name, count in tally.items())
    return Counter({name[1]: count for name, count in pairs if name[0] == kind})
