"""Reads a server's ``/metrics``."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import ROOT, TIMEOUT


class Figures(dict[tuple[str, frozenset[str]], float]):
    """The samples of one scrape, by name and by the values of the labels."""

    def of(self, name: str, *labels: str) -> float:
        """Return a sample; 0 if there is none."""
        return self.get((name, frozenset(labels)), 0.0)

    def total(self, name: str) -> float:
        """Return the sum of a metric over all values of its labels."""
        return sum(value for (each, _), value in self.items() if each == name)


def parse(text: str) -> Figures:
    """Return the samples of a text."""
    return Figures(
        {
            (sample.name, frozenset(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def scrape(url: str) -> Figures:
    """Return the samples of a server now; for asynchronous tests: in a thread."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT) as answer:
        return parse(answer.read().decode())


def labels_of(registry: CollectorRegistry) -> dict[str, str]:
    """Return the names of a registry's own metrics, as Prometheus shows them, type and labels."""
    shown = {}
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            (family,) = collector.describe()
            suffix = "_total" if family.type == "counter" else ""
            shown[family.name + suffix] = _row(family.type, collector._labelnames)
    return shown


def documented(heading: str) -> dict[str, str]:
    """Return the metrics in the table below a heading of ``docs/metrics.md``, likewise."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\|", section, re.MULTILINE)
    return {name: _row(kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels in rows}


def _row(kind: str, labels: Iterable[str]) -> str:
    return f"{kind} {sorted(labels)}"
