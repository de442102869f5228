"""One server under siege, with its healthy clients, through one phase after another."""

from __future__ import annotations

import re
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.siege.attack import Attack, Files
from tests.siege.besieged import KEY, TRACEBACK, Besieged, Sample, storage
from tests.siege.child import Child
from tests.siege.figures import MIB, Publish, Row, waits
from tests.siege.findings import FIRST_BAD_STATUS, add_deliveries, tally_of
from tests.siege.history import fill_log
from tests.siege.judge import memory_allowed
from tests.support.server import wait_until
from tests.support.tokens import token

SHARES = {"plain": 0.6, "socketio": 0.24, "stream": 0.12, "polling": 0.04}
"""The kinds of healthy consumers, each in a process of its own, and their shares of all."""

HEALTHY_ADDRESS = "127.0.1.{}"
ATTACKING_ADDRESS = "127.{}.{}.{}"
ADDRESSES_PER_PROCESS = 4
MAX_PROCESSES = 4
"""Attacking processes. The machine must have something left for the server."""

MAX_MEMORY_BYTES = 3 << 30
MAX_DISK_BYTES = 8 << 30
"""Beyond these, the siege stops an attack, to protect the machine."""

START_SECONDS = 60
TOKEN_SECONDS = 7_200
MINIMUM_REST_SECONDS = 0.2
WATCH_SECONDS = 0.05

_WARNING = re.compile(r'"level": "(warning|error)".*(file|connection)', re.IGNORECASE)


class Field:
    """A server with new storage, healthy consumers and a healthy publisher.

    Args:
        root: the checkout whose server is run.
        folder: an empty folder for all files.
        log: the event log, ``sqlite`` or ``valkey``.
        consumers: the number of healthy consumers.
        seed: the seed of all random choices.
        settle: seconds within which the healthy clients must have recovered from an attack.
        files: the server's limit of open files.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        log: str,
        consumers: int,
        seed: int,
        settle: float,
        files: Files | None = None,
    ) -> None:
        self._root = root
        self._folder = folder
        self._log = log
        self._consumers = consumers
        self._seed = seed
        self._settle = settle
        self._files = files
        self._publishes: list[Publish] = []
        self._crowds: list[Child] = []
        self._tally: Counter[str] = Counter()  # see ``tally_of``, of the phase before

    def __enter__(self) -> Self:
        """Start everything."""
        with ExitStack() as stack:
            # The files of the event log may be very large.
            stack.callback(shutil.rmtree, self._folder / "log", ignore_errors=True)
            self._storage = stack.enter_context(storage(self._log, self._folder / "log"))
            self.server = Besieged(
                self._root, self._folder / "server", self._storage.url, self._files
            )
            stack.callback(self.server.stop)
            wait_until(lambda: self.server.request("/readyz")[0] == 200, "the server is ready")
            self._oldest = self._ends()["oldest"]
            if self._files is None:  # an attack on the files reads no events
                fill_log(self.server)
            position = self._ends()["position"]
            for number, (kind, share) in enumerate(SHARES.items()):
                plan = {
                    "port": self.server.port,
                    "address": HEALTHY_ADDRESS.format(number + 1),
                    "kind": kind,
                    "count": max(1, round(share * self._consumers)),
                    "offset": position,
                    "seed": f"{self._seed} {kind}",
                    "token": token(sub=kind, exp=time.time() + TOKEN_SECONDS),
                }
                self._crowds.append(self._child(stack, "crowd", plan))
            for crowd in self._crowds:
                crowd.receive(START_SECONDS)
            address = HEALTHY_ADDRESS.format(len(SHARES) + 1)
            self._publisher = self._child(
                stack, "publisher", {"port": self.server.port, "address": address, "key": KEY}
            )
            wait_until(self._acknowledged, "the publisher gets acks")
            self.first_memory = self.server.memory()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """End everything."""
        self._stack.close()

    def _child(self, stack: ExitStack, module: str, plan: dict[str, Any]) -> Child:
        child = Child(module, self._folder, plan)
        stack.callback(child.end)
        return child

    def _ends(self) -> dict[str, str]:
        """Return the offsets of both ends of the event log."""
        ends: dict[str, str] = self.server.request("/api/events?limit=0")[1]
        return ends

    def _acknowledged(self) -> int:
        return int(self._ask_publisher()["acknowledged"])

    def _ask_publisher(self) -> dict[str, Any]:
        self._publisher.send({"report": True})
        report = self._publisher.receive(START_SECONDS)
        if self._publishes and self._publishes[-1].acknowledged is None:
            self._publishes.pop()
        self._publishes += [Publish(*it) for it in report["publishes"]]
        return report

    def _sample(self) -> Sample:
        return Sample(self.server.memory(), self._storage.used_bytes(), self.server.log_bytes())

    def besiege(
        self, name: str, attacks: Sequence[Attack], seconds: float, rest: float, number: int
    ) -> Row:
        """Carry out attacks at once; return the figures.

        Args:
            name: the name of the phase.
            attacks: the attacks; an empty list for the calm.
            seconds: the length of the attack.
            rest: the longest time to wait until the server's memory is back.
            number: the number of this phase in the siege, from which its addresses follow: the
                limits for the addresses of an earlier phase must not protect the server.
        """
        with ExitStack() as stack:
            attackers = self._attackers(stack, attacks, seconds, number)
            before = self._sample()
            self.server.forget_peak()
            start = time.monotonic()
            for attacker in attackers:
                attacker.send({"go": True})
            end = start + seconds
            newcomer = stack.enter_context(ThreadPoolExecutor(1)).submit(
                self._health_at, start + seconds / 2
            )
            stopped = self._watch(end - WATCH_SECONDS)
            at_end = self._sample()
            if stopped is not None:
                end = time.monotonic()
                for attacker in attackers:
                    attacker.kill()
            reports = [] if stopped else [it.receive(START_SECONDS) for it in attackers]
        peak = self.server.memory("VmHWM:")
        self._rest(before.memory, rest)
        after = self._sample()
        is_stuck = not self._settled()
        report = self._ask_publisher()
        until = time.monotonic()
        answers = sum((Counter[str](it["statuses"]) for it in reports), Counter[str]())
        own = [it for one in reports for it in one["attacks"].values()]
        row = Row(
            name,
            self._log,
            end - start,
            waits(self._publishes, start, end, until),
            share=1.0,
            start=before.memory,
            end=at_end.memory,
            rest=after.memory,
            peak=peak,
            connections=sum(it["peak"] for it in own) or sum(it.connections for it in attacks),
            opened=sum(it["opened"] for it in own),
            sent=sum(it["sent"] for it in own),
            disk=at_end.disk - before.disk,
            printed=at_end.log - before.log,
            answers=answers,
            statuses=Counter({it: answers[it] for it in answers if it >= FIRST_BAD_STATUS}),
            newcomer=newcomer.result(),
            exit_status=self.server.process.poll(),
            stopped=stopped,
            is_stuck=is_stuck,
            lacks_files=any(it.files and it.files.hard for it in attacks),
        )
        self._add_findings(row, report)
        return row

    def _attackers(
        self, stack: ExitStack, attacks: Sequence[Attack], seconds: float, number: int
    ) -> list[Child]:
        """Start the attacking processes, and wait until they are ready."""
        attackers = []
        for process in range(min(MAX_PROCESSES, len(attacks))):
            first = process * ADDRESSES_PER_PROCESS + 1
            plan = {
                "port": self.server.port,
                "addresses": [
                    ATTACKING_ADDRESS.format(16 + number // 200, number % 200, first + it)
                    for it in range(ADDRESSES_PER_PROCESS)
                ],
                "oldest": self._oldest,
                "seed": f"{self._seed} {number} {process}",
                "attacks": [it.name for it in attacks[process::MAX_PROCESSES]],
                "seconds": seconds,
            }
            attackers.append(self._child(stack, "attacker", plan))
        for attacker in attackers:
            attacker.receive(START_SECONDS)
        return attackers

    def _watch(self, deadline: float) -> str | None:
        """Wait until the deadline; return the reason if the attack must stop earlier."""
        while (left := deadline - time.monotonic()) > 0:
            if not self.server.is_alive:
                return "the server has died"
            if self.server.memory() > MAX_MEMORY_BYTES:
                return f"the server holds {MAX_MEMORY_BYTES / MIB:.0f} MiB"
            if self._storage.used_bytes() > MAX_DISK_BYTES:
                return f"the event log takes {MAX_DISK_BYTES / MIB:.0f} MiB"
            time.sleep(min(left, WATCH_SECONDS))
        return None

    def _health_at(self, time_: float) -> int | None:
        time.sleep(max(0, time_ - time.monotonic()))
        return self.server.health()

    def _rest(self, memory_before: int, seconds: float) -> None:
        """Wait until the server's memory is back, or the time is over."""
        time.sleep(MINIMUM_REST_SECONDS)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.server.is_alive:
            if self.server.memory() <= memory_allowed(memory_before):
                return
            time.sleep(WATCH_SECONDS)

    def _settled(self) -> bool:
        """Wait until the publisher gets acks again; return False if it does not."""
        before = self._acknowledged()
        deadline = time.monotonic() + self._settle
        while time.monotonic() < deadline and self.server.is_alive:
            if self._acknowledged() > before:
                return True
            time.sleep(WATCH_SECONDS)
        return False

    def _add_findings(self, row: Row, report: dict[str, Any]) -> None:
        """Add what the healthy clients and the server's log tell of the phase."""
        last = report["acknowledged"]
        within = self._settle if self.server.is_alive else 0
        for crowd in self._crowds:
            crowd.send({"reach": last, "within": within})
        consumers = [
            it for crowd in self._crowds for it in crowd.receive(START_SECONDS)["consumers"]
        ]
        tally = tally_of(consumers, report)
        add_deliveries(row, consumers, last, tally - self._tally)
        self._tally = tally
        for line in self.server.new_lines():
            if TRACEBACK in line:
                row.tracebacks.append(line.strip())
            row.warnings += bool(_WARNING.search(line))
        row.health = self.server.health()
