"""Random bytes from a pool."""

from __future__ import annotations

import os

import pytest

from sio_server import randomness
from sio_server.randomness import POOL_BYTES, RandomPool, random_bytes


def test_each_call_gets_other_bytes_and_the_system_is_asked_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All bytes of the system's answer are used once, in order."""
    answers = [bytes([number]) * POOL_BYTES for number in range(2)]
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return answers[len(asked) - 1]

    monkeypatch.setattr(randomness.os, "urandom", urandom)
    pool = RandomPool()
    assert [pool.take(size) for size in (1, 16, POOL_BYTES - 17)] == [
        answers[0][:1],
        answers[0][:16],
        answers[0][:-17],
    ]
    assert pool.take(1) == answers[1][:1]
    assert asked == [POOL_BYTES] * 2


def test_bytes_are_never_given_twice() -> None:
    """Not even over the end of a pool."""
    assert len({random_bytes(16) for _ in range(1_000)}) == 1_000


def test_a_forked_process_has_other_bytes() -> None:
    """Otherwise two processes would make the same ids and secrets."""
    random_bytes(16)  # there is a pool
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, random_bytes(16))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 16)
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 16
    assert theirs != random_bytes(16)
