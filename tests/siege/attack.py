"""An attack: a script for each of its connections, as a generator of steps.

A script is sans-I/O. It yields what its connection does next, and the attacker's process does it
(``attacker.py``). When a script returns, its connection closes, and a new connection with a new
script takes its place. A connection that the server refuses or closes is replaced in the same way,
at once: a client that is shut out comes back as fast as it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Target:
    """What a script knows about the server.

    Attributes:
        oldest: the offset before the oldest event of the log.
        random: the source of all random choices.
    """

    oldest: str
    random: Random


@dataclass(frozen=True, slots=True)
class Await:
    """A step: read until the pattern is found. The script gets the match.

    Attributes:
        pattern: it is searched in the bytes that arrived since the step before.
    """

    pattern: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Pause:
    """A step: keep the connection open and send nothing.

    Attributes:
        seconds: the time until the next step.
    """

    seconds: float


class HalfClose:
    """A step: close the sending side of the connection."""


class Reconnect:
    """A step: close the connection, and continue the script on a new one."""


Step = bytes | Await | Pause | HalfClose | Reconnect
"""Bytes are sent. The script continues when the kernel has taken all of them."""

Script = Generator[Step, re.Match[bytes], None]

HALF_CLOSE = HalfClose()
RECONNECT = Reconnect()
FOREVER = Pause(1e6)
"""A step: keep the connection open until the attack ends or the server closes it."""


@dataclass(frozen=True, slots=True)
class Files:
    """The limit of open files with which the server is started.

    Attributes:
        soft: the soft limit, which a process may raise.
        hard: the hard limit; None: as high as the machine allows.
    """

    soft: int
    hard: int | None


@dataclass(frozen=True, slots=True)
class Attack:
    """One way in which a client may hold up the others.

    Attributes:
        name: the name in the table.
        family: the name of its module.
        script: what each connection does.
        connections: connections at once.
        reads: read what the server sends; otherwise only while a script awaits something.
        breaks_off: close with a reset.
        files: a limit of open files, for which the server is started again.
    """

    name: str
    family: str
    script: Callable[[Target], Script]
    connections: int
    reads: bool
    breaks_off: bool
    files: Files | None

    @property
    def description(self) -> str:
        """The first line of the script's docstring."""
        return (self.script.__doc__ or "").partition("\n")[0]


def attack(
    connections: int = 1,
    *,
    reads: bool = True,
    breaks_off: bool = False,
    files: Files | None = None,
) -> Callable[[Callable[[Target], Script]], Attack]:
    """Make an attack of a script; see ``Attack``."""

    def decorate(script: Callable[[Target], Script]) -> Attack:
        family = script.__module__.rpartition(".")[2]
        return Attack(script.__name__, family, script, connections, reads, breaks_off, files)

    return decorate


def repeat(data: bytes) -> Script:
    """Send the same bytes again and again."""
    while True:
        yield data
