"""Processes that write.

``python -m tests.django.kills.writers FOLDER SEED WRITERS TRANSACTIONS DELAY``: each writer changes
its own pieces, and pieces that all writers share. It leaves each transaction open for a while, at
most for DELAY seconds, and rolls a third of them back. It records each transaction in a file.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from random import Random

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models exist from here on
from django.db import IntegrityError, transaction  # noqa: E402

from tests.django.catalog.models import Mueble  # noqa: E402
from tests.django.kills.checker import DELETED, Change  # noqa: E402

SHARED = tuple(range(1_000_001, 1_000_005))
"""The primary keys of the pieces that all writers change."""


class _RollBack(Exception):
    """Rolls a transaction or a savepoint back."""


class Writer:
    """The writer of one process."""

    def __init__(self, name: str, folder: Path, seed: int, delay: float) -> None:
        self._name = name
        self._delay = delay
        self._random = Random(f"{seed} {name}")
        self._author = User.objects.get()
        self._own: set[int] = set()
        self._tokens = 0
        self._changes: list[Change] = []
        self._undone: list[Change] = []
        self._file = (folder / f"{name}.jsonl").open("w")

    def run(self, transactions: int) -> None:
        """Make transactions."""
        for _ in range(transactions):
            self._changes, self._undone = [], []
            own = set(self._own)
            outcome = self._transaction()
            if outcome != "committed":
                self._own = own
            record = {"outcome": outcome, "changes": self._changes, "undone": self._undone}
            self._file.write(f"{json.dumps(record)}\n")
            self._file.flush()

    def _transaction(self) -> str:
        try:
            with transaction.atomic():
                if self._random.random() < 0.4:  # at most one: two could deadlock
                    self._change_shared(self._random.choice(SHARED))
                for _ in range(self._random.randint(0, 2)):
                    self._change_own()
                if self._random.random() < 0.2:
                    self._change_own_and_roll_back()
                time.sleep(self._random.random() * self._delay)
                if self._random.random() < 1 / 3:
                    raise _RollBack
        except _RollBack:
            return "rolled back"
        except IntegrityError:
            return "failed"  # two writers create the same shared piece
        return "committed"

    def _change_own_and_roll_back(self) -> None:
        own, before = set(self._own), len(self._changes)
        try:
            with transaction.atomic():
                self._change_own()
                raise _RollBack
        except _RollBack:
            self._own = own
            self._undone += self._changes[before:]
            del self._changes[before:]

    def _change_own(self) -> None:
        if not self._own or self._random.random() < 0.3:
            piece = Mueble()
            self._save(piece, "furniture_created")
            self._own.add(piece.pk)
            return
        piece = Mueble.objects.get(pk=self._random.choice(sorted(self._own)))
        self._save(piece, "furniture_updated")
        if self._random.random() < 0.2:
            self._own.discard(piece.pk)
            self._delete(piece)

    def _change_shared(self, key: int) -> None:
        piece = Mueble.objects.select_for_update().filter(pk=key).first()
        if piece is None:
            self._save(Mueble(pk=key), "furniture_created")
            return
        self._save(piece, "furniture_updated")
        if self._random.random() < 0.1:
            self._delete(piece)

    def _save(self, piece: Mueble, type: str) -> None:
        """Save a piece. Its row is locked, if it exists, so that the versions of a piece grow."""
        self._tokens += 1
        piece.nombre, piece.altura, piece.ancho, piece.autor = "Mesa", 75, 120, self._author
        piece.material = f"{self._name}-{self._tokens}"
        version = time.monotonic_ns()  # one clock for all processes
        piece.descripcion = str(version)
        piece.save(force_insert=type == "furniture_created")
        self._changes.append(Change(str(piece.pk), type, piece.material, version))

    def _delete(self, piece: Mueble) -> None:
        updated = self._changes[-1]
        piece.delete()
        self._changes.append(updated._replace(type=DELETED))


def main(folder: str, seed: str, writers: str, transactions: str, delay: str) -> int:
    """Run all writers, each in a process. Return 1 if one of them failed."""
    for number in range(int(writers)):
        if os.fork() == 0:
            try:
                writer = Writer(f"w{number}", Path(folder), int(seed), float(delay))
                writer.run(int(transactions))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    return max(os.wait()[1] for _ in range(int(writers))) and 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
