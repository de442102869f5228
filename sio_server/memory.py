"""The memory of this process: when garbage is collected, and what goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time

GC_THRESHOLD = 10_000
"""New objects between two runs of the cyclic garbage collector. A connection has many objects, and
hardly any of them is part of a cycle."""

CHECK_SECONDS = 2.0
"""How often the process's memory is looked at. A look takes up to a few milliseconds."""

MIN_FREED_BYTES = 4 * 1024 * 1024
"""Memory goes back to the system when at least this much was freed and not used again."""

PAUSE_FACTOR = 200
"""After giving memory back, a pause of this many times its duration follows."""

MAX_PAUSE_SECONDS = 10.0
"""The longest such pause. Giving back takes long while the server is busy. When it is quiet again,
its memory should not stay for long."""


def tune_collector() -> None:
    """Let the garbage collector ignore the objects that exist now, and run seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


async def give_back() -> None:
    """Give freed memory back to the system, until cancelled.

    The C library keeps most of what a process has freed. So, without this, the process would stay
    as large as it was when it had the most clients. Only the GNU C library can be told.
    """
    try:
        library = ctypes.CDLL(None)
        library.mallinfo2.restype = _MallocInfo
        trim = library.malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library
        return

    def free_bytes() -> int:
        return int(library.mallinfo2().fordblks)

    free = free_bytes()
    pause = CHECK_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = CHECK_SECONDS
        now_free = free_bytes()
        free = min(free, now_free)
        if now_free > free + MIN_FREED_BYTES:
            began = time.monotonic()
            await asyncio.to_thread(trim, 0)
            pause = _pause_after(time.monotonic() - began)
            free = free_bytes()  # the pages are gone, but the library still counts them as free


def _pause_after(seconds: float) -> float:
    """Return the pause after giving memory back took so many seconds."""
    return min(max(CHECK_SECONDS, PAUSE_FACTOR * seconds), MAX_PAUSE_SECONDS)


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of the GNU C library; see mallinfo(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )
