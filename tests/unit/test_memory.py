"""Memory that was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sio_server import memory
from tests.support.server import ROOT

PROGRAM = """
import asyncio
from pathlib import Path
from sio_server import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

async def main():
    memory.CHECK_SECONDS = 0.01
    giving_back = asyncio.create_task(memory.give_back())
    await asyncio.sleep(0)
    blocks = [bytes(3000) for _ in range(40_000)]
    full = resident()
    kept = blocks[::50]  # so that the library cannot give back the end of the heap by itself
    blocks.clear()
    async with asyncio.timeout(20):
        while resident() > full - 80_000_000:
            await asyncio.sleep(0.01)
    giving_back.cancel()
    return len(kept)

print(asyncio.run(main()))
"""


def test_freed_memory_goes_back() -> None:
    """Although some blocks in between are still used."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("800\n", "")


@pytest.mark.parametrize(("took", "pause"), [(0.001, 2), (0.02, 4), (0.05, 10), (1, 10)])
def test_the_pause_grows_with_the_work_but_has_an_end(took: float, pause: float) -> None:
    """A server that is quiet after an attack gives its memory back soon."""
    assert memory._pause_after(took) == pytest.approx(pause)
