"""All attacks, in the order of their families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.siege.attack import Attack
from tests.siege.attacks import (
    breaking,
    crowds,
    files,
    memory,
    packets,
    parsing,
    pipelining,
    recoveries,
    sessions,
    unread,
)

FAMILIES = (
    pipelining,
    sessions,
    unread,
    parsing,
    packets,
    memory,
    recoveries,
    files,
    breaking,
    crowds,
)

ATTACKS: Mapping[str, Attack] = {
    it.name: it for family in FAMILIES for it in vars(family).values() if isinstance(it, Attack)
}
"""The attacks by name."""


def chosen(names: Iterable[str]) -> list[Attack]:
    """Return the attacks with these names, or of families with these names; without any, all.

    Raises:
        ValueError: there is no attack or family of a name.
    """
    wanted = set(names)
    known = ATTACKS.keys() | {it.family for it in ATTACKS.values()}
    if unknown := wanted - known:
        raise ValueError(f"no attack and no family: {', '.join(sorted(unknown))}")
    return [it for it in ATTACKS.values() if not wanted or {it.name, it.family} & wanted]
