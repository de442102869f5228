"""Fixtures for every test module: a loopback broker, and valid furniture."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loopback import Broker


@pytest.fixture
def broker() -> Iterator[Broker]:
    """Run a broker on a free port of 127.0.0.1."""
    broker = Broker()
    yield broker
    broker.stop()


@pytest.fixture
def furniture() -> dict[str, Any]:
    """Return furniture that the contract accepts."""
    return {
        "furniture_id": "673a2f1b8e4d2a1c3b5e6f7a",
        "nombre": "Mesa de Roble",
        "descripcion": "Mesa elegante de comedor",
        "altura": 75,
        "ancho": 120,
        "material": "roble",
        "autor_username": "Juan",
    }


@pytest.fixture
def event(furniture: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Return a function that makes events, such as ``event(id="a", nombre="")``."""

    def make(id: str | None = None, **changes: Any) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "furniture_created", "furniture": furniture | changes}
        return made if id is None else made | {"id": id}

    return make
