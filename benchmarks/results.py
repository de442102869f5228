"""Save and load the results of benchmarks: one JSON file for each, in ``benchmarks/results/``.

A file says everything that a reader needs to judge it: the command, the commit, the machine, every
round, and what the figures do not say. ``performance`` makes ``docs/performance.md`` of the files.
This module needs only the standard library.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def _command() -> str:
    return shlex.join(["python", *sys.orig_argv[1:]])


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=RESULTS.parent, capture_output=True, text=True, check=False
        ).stdout.strip()

    server = RESULTS.parent.parent / "sio_server"
    changed = git("status", "--porcelain", "--untracked-files=no", "--", str(server))
    return git("log", "-1", "--format=%h", "--", str(server)) + " with changes" * bool(changed)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="minutes")


def machine() -> dict[str, str]:
    """Describe this machine without its name."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in info.splitlines() if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"{platform.python_version()} ({'optimised' if is_optimised() else 'plain'})",
    }


def is_optimised() -> bool:
    """Tell whether this Python was compiled with profile-guided optimisation.

    Its configuration says so. That of a system's package may be another build's, but systems
    optimise their packages.
    """
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return "--enable-optimizations" in options or sys.base_prefix == "/usr"


@dataclass(frozen=True)
class Row:
    """The figures of one server, or one point of a curve.

    Attributes:
        server: the server, or the name of the curve.
        rounds: the figures of each round, by column. A column's name ends with its unit.
        at: the place on the x-axis, or another size; None if there is only one.
        command: what measured it.
        commit: the last commit that changed the server.
        measured_at: when, in UTC.
    """

    server: str
    rounds: list[dict[str, float]]
    at: float | None = None
    command: str = field(default_factory=_command)
    commit: str = field(default_factory=_commit)
    measured_at: str = field(default_factory=_now)

    def median(self, column: str) -> float:
        """Return the column's median over the rounds."""
        return statistics.median(self._values(column))

    def low(self, column: str) -> float:
        """Return the column's lowest value."""
        return min(self._values(column))

    def high(self, column: str) -> float:
        """Return the column's highest value."""
        return max(self._values(column))

    def _values(self, column: str) -> list[float]:
        return [figures[column] for figures in self.rounds]


@dataclass(frozen=True)
class Plot:
    """A picture of some columns.

    If the rows have three or more different ``at``, it has a curve for each server; else bars.

    Attributes:
        title: a sentence above it.
        columns: one or more columns with the same unit.
        unit: the label of the axis with the values.
        log: whether this axis is logarithmic.
        log_at: whether the axis with ``at`` is logarithmic.
    """

    title: str
    columns: list[str]
    unit: str
    log: bool = False
    log_at: bool = False


@dataclass(frozen=True)
class Result:
    """The result of one benchmark.

    Attributes:
        name: the name of its file, without ``.json``, in words with hyphens.
        says: one or two sentences about the measurement.
        does_not_say: sentences; each names something that a reader must not conclude.
        rows: the figures.
        at: the meaning of ``Row.at``, with the unit.
        plots: the pictures.
        versions: the versions of the peers and libraries, by name.
        machine: where it was measured.
    """

    name: str
    says: str
    does_not_say: list[str]
    rows: list[Row]
    at: str = ""
    plots: list[Plot] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=machine)

    @property
    def columns(self) -> list[str]:
        """All columns, in the order of the first row that has them."""
        return list(
            dict.fromkeys(
                column for row in self.rows for figures in row.rounds for column in figures
            )
        )


def save(result: Result, folder: Path = RESULTS) -> Path:
    """Write a result to its file.

    If the file has rows of other servers or sizes, from the same machine, they stay. So a benchmark
    can run in pieces.

    Args:
        result: the result.
        folder: the folder of the file.

    Returns:
        The file.
    """
    path = folder / f"{result.name}.json"
    if path.exists() and (old := load(path)).machine == result.machine:
        result = _merged(old, result)
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")
    return path


def load(path: Path) -> Result:
    """Read a result from its file."""
    fields = json.loads(path.read_text())
    fields["rows"] = [Row(**row) for row in fields["rows"]]
    fields["plots"] = [Plot(**plot) for plot in fields["plots"]]
    return Result(**fields)


def load_all(folder: Path = RESULTS) -> dict[str, Result]:
    """Read all results, by name."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.json"))}


def table(result: Result) -> str:
    """Return the figures as a table in Markdown: the median, and the lowest and highest round."""
    columns, sized = result.columns, any(row.at is not None for row in result.rows)
    lines = [["", *([result.at] if sized else []), *columns]]
    lines.append(["---"] + ["---:"] * (len(lines[0]) - 1))
    for row in result.rows:
        size = [] if not sized else ["" if row.at is None else f"{row.at:,.10g}"]
        lines.append([row.server, *size, *(_cell(row, column) for column in columns)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(row: Row, column: str) -> str:
    if any(column not in figures for figures in row.rounds):
        return ""
    middle, low, high = (number(f(column)) for f in (row.median, row.low, row.high))
    return middle if low == high else f"{middle} ({low}–{high})"


def number(value: float) -> str:
    """Return a figure with three digits, or as a whole number."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _merged(old: Result, new: Result) -> Result:
    fresh = {(row.server, row.at): row for row in new.rows}
    rows: list[Row] = [fresh.pop((row.server, row.at), row) for row in old.rows]
    return replace(new, rows=[*rows, *fresh.values()], versions=old.versions | new.versions)
