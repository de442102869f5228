"""Whether the time of a comparison tells anything about a producer key.

``python -m benchmarks.key_timing`` compares credentials that share no, half, or all but one of a
key's characters with it, 100,000 times each, in turn, and prints the medians. A guesser could use a
difference only if it were larger than the spread of one kind.
"""

from __future__ import annotations

import statistics
import time

from sio_server.access.keys import ProducerKeys

TRIES = 100_000
KEY = "4f1c9a0e7b2d5c8836e1f0a94b7d2c5e"


def main() -> None:
    """Measure, and print a table."""
    half = len(KEY) // 2
    kinds = {
        "nothing in common": "x" * len(KEY),
        "the first half": KEY[:half] + "x" * half,
        "all but the last": KEY[:-1] + "x",
        "the key": KEY,
        "nothing in common, again": "y" * len(KEY),
    }
    name_of = ProducerKeys([f"django:{KEY}", "other:0123456789abcdef0123456789abcdef"]).name_of
    times: dict[str, list[int]] = {kind: [] for kind in kinds}
    for _ in range(TRIES):
        for kind, presented in kinds.items():
            began = time.perf_counter_ns()
            name_of(presented)
            times[kind].append(time.perf_counter_ns() - began)
    print(f"{'credential':26} {'median ns':>10} {'quartiles ns':>16}")
    for kind, measured in times.items():
        low, median, high = statistics.quantiles(measured, n=4)
        print(f"{kind:26} {median:10.0f} {low:7.0f} – {high:.0f}")


if __name__ == "__main__":
    main()
