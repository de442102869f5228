"""A siege of a server with one event log: a calm, each attack by itself, then all at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.siege.attack import Attack, Files
from tests.siege.field import Field
from tests.siege.figures import MIB, Row
from tests.siege.judge import QUIET, REPEATED, Failure, Rule, Targets, better, judge
from tests.siege.table import table

CALM, ALL_AT_ONCE = "calm", "all at once"
CALM_SHARE, ALL_SHARE = 0.05, 0.15
"""The shares of a siege's time."""

ATTACKING_SHARE = 0.7
"""The share of its time in which an attack attacks. The rest is for rests and for starts."""

LEAST_CALM_SECONDS = 3.0
LEAST_ATTACK_SECONDS = 0.8
REPEATED_SHARE = 0.2
"""The share of the attacks that may be repeated. If more of them need it, neither a noisy machine
nor the level of the memory is the reason."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a siege.

    Attributes:
        root: the checkout whose server is run.
        log: the event log, ``sqlite`` or ``valkey``.
        attacks: the attacks.
        seconds: the length of the siege, roughly.
        consumers: the number of healthy consumers.
        seed: the seed of all random choices.
        rest: the longest rest after an attack, in seconds.
        settle: seconds within which the healthy clients must have recovered from an attack.
        targets: the targets that depend on the machine.
    """

    root: Path
    log: str
    attacks: Sequence[Attack]
    seconds: float
    consumers: int
    seed: int
    rest: float
    settle: float
    targets: Targets = QUIET

    @property
    def calm_seconds(self) -> float:
        """The length of the calm."""
        return max(LEAST_CALM_SECONDS, self.seconds * CALM_SHARE)

    @property
    def all_seconds(self) -> float:
        """The length of all attacks at once."""
        return self.seconds * ALL_SHARE

    @property
    def attack_seconds(self) -> float:
        """The length of each attack by itself."""
        left = self.seconds - self.calm_seconds - self.all_seconds
        return max(LEAST_ATTACK_SECONDS, ATTACKING_SHARE * left / max(1, len(self.attacks)))


@dataclass(slots=True)
class Report:
    """The results of a siege.

    Attributes:
        plan: its plan.
        rows: the figures of its phases. The first one is the calm.
        repeated: the names of the attacks that were repeated.
        first_memory: the memory of a new server with all healthy clients, in bytes.
    """

    plan: Plan
    rows: list[Row] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    first_memory: int = 0

    @property
    def failures(self) -> list[Failure]:
        """The missed targets of all phases."""
        return [failure for row in self.rows[1:] for failure in self.judge(row)]

    def judge(self, row: Row) -> list[Failure]:
        """Return the targets that a phase has missed."""
        return judge(row, self.rows[0], self.plan.targets)

    def __str__(self) -> str:
        """The table, in the order of the families, and the missed targets."""
        if not self.rows:
            return f"There was no siege on {self.plan.log}."
        calm, failures = self.rows[0], self.failures
        order = [CALM, *(it.name for it in self.plan.attacks), ALL_AT_ONCE]
        rows = [
            (row, [it.rule.name for it in self.judge(row)])
            for row in sorted(self.rows, key=lambda row: order.index(row.attack))
        ]
        introduction = (
            f"Siege of {self.plan.root} on {self.plan.log}, seed {self.plan.seed}, "
            f"{self.plan.consumers} healthy consumers, {self.plan.attack_seconds:.1f} s for each "
            f"attack, {self.plan.all_seconds:.1f} s for all at once. In the calm, the longest wait "
            f"was {calm.waits.longest * 1e3:.1f} ms, with {calm.waits.acks:.1f} acks a second; "
            f"allowed are {self.plan.targets.longest(calm) * 1e3:.0f} ms. "
            f"Repeated: {', '.join(self.repeated) or 'none'}. A new server held "
            f"{self.first_memory / MIB:.0f} MiB, and at the end "
            f"{self.rows[-1].rest / MIB:.0f} MiB."
        )
        lines = [
            introduction,
            "",
            table(rows),
            "",
            f"{len(failures)} missed targets{':' if failures else '.'}",
            *(f"- {failure}" for failure in failures),
        ]
        return "\n".join(lines)


class Siege:
    """A siege.

    Args:
        plan: its plan.
        folder: an empty folder.

    Attributes:
        report: the results so far.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self.report = Report(plan)
        self._fields = 0
        self._phases = 0
        self._field: Field | None = None  # of all attacks that need no own one
        self._stack = ExitStack()  # ends it

    def carry_out(self) -> None:
        """Carry out the plan."""
        plan, report = self._plan, self.report
        attacks = list(plan.attacks)
        random.Random(plan.seed).shuffle(attacks)
        try:
            report.rows.append(self._besiege(CALM, [], plan.calm_seconds))
            if self._field is not None:
                report.first_memory = self._field.first_memory
            for attack in attacks:
                self._try(attack.name, [attack])
            together = [it for it in attacks if it.files is None]
            if len(together) > 1:
                self._try(ALL_AT_ONCE, together)
        finally:
            self._leave_field()

    def _try(self, name: str, attacks: Sequence[Attack]) -> None:
        """Besiege; again if only noise, or the level of the memory, may be at fault."""
        plan, report = self._plan, self.report
        seconds = plan.all_seconds if name == ALL_AT_ONCE else plan.attack_seconds
        calm = report.rows[0]
        row = self._besiege(name, attacks, seconds)
        if name == ALL_AT_ONCE and self._field is not None:
            # The whole siege must have left no memory behind.
            row.start = min(row.start, self._field.first_memory)
        broken = {it.rule for it in report.judge(row)}
        tries = 1
        while broken and broken <= REPEATED and len(report.repeated) < self._most_repeated:
            if tries == (3 if broken == {Rule.MEMORY_KEPT} else 2):
                break
            tries += 1
            report.repeated.append(name)
            row = better(row, self._besiege(name, attacks, seconds), calm, plan.targets)
            broken = {it.rule for it in report.judge(row)}
        report.rows.append(row)
        if Rule.MEMORY_KEPT in broken:
            self._leave_field()

    @property
    def _most_repeated(self) -> int:
        return 1 + int(REPEATED_SHARE * len(self._plan.attacks))

    def _besiege(self, name: str, attacks: Sequence[Attack], seconds: float) -> Row:
        self._phases += 1
        files = next((it.files for it in attacks if it.files), None)
        if files is not None:
            with self._new_field(files) as own:
                row = own.besiege(name, attacks, seconds, self._plan.rest, self._phases)
        else:
            if self._field is None:
                self._field = self._stack.enter_context(self._new_field(None))
            row = self._field.besiege(name, attacks, seconds, self._plan.rest, self._phases)
            if not row.is_clean:
                self._leave_field()
        if self.report.rows:
            row.share = row.waits.acks / self.report.rows[0].waits.acks
        return row

    def _new_field(self, files: Files | None) -> Field:
        plan = self._plan
        self._fields += 1
        folder = self._folder / f"field-{self._fields}"
        folder.mkdir()
        return Field(plan.root, folder, plan.log, plan.consumers, plan.seed, plan.settle, files)

    def _leave_field(self) -> None:
        """End the server and its clients. The next attack gets new ones."""
        self._field = None
        self._stack.close()
