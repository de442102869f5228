"""Every attack can be started, says what it does, and is known by its name."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.siege.attack import (
    FOREVER,
    RECONNECT,
    Attack,
    Await,
    HalfClose,
    Pause,
    Script,
    Target,
    attack,
    repeat,
)
from tests.siege.attacker import Attacker
from tests.siege.registry import ATTACKS, FAMILIES, chosen

TARGET = Target("e.0", Random(0))
ADDRESSES = ["127.0.9.1", "127.0.9.2"]
SECONDS = 0.3
"""The length of an attack on a stand-in for the server."""


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))
def test_an_attack_begins_with_a_step(attack: Attack) -> None:
    """Its docstring describes it, and it has at least one connection."""
    assert attack.description.endswith(".")
    assert attack.connections > 0
    assert isinstance(next(attack.script(TARGET)), bytes | Await | Pause | HalfClose)


def test_no_two_attacks_have_one_name() -> None:
    """Otherwise one of them would never be tried."""
    names = Counter(
        it.name for family in FAMILIES for it in vars(family).values() if isinstance(it, Attack)
    )
    assert set(names.values()) == {1}
    assert names.keys() == ATTACKS.keys()


def test_attacks_are_chosen_by_name_and_by_family() -> None:
    """No name means all; an unknown one is an error."""
    assert len(chosen([])) == len(ATTACKS)
    assert [it.name for it in chosen(["empty_pings", "empty_pongs"])] == [
        "empty_pings",
        "empty_pongs",
    ]
    assert {it.family for it in chosen(["files"])} == {"files"}
    with pytest.raises(ValueError, match="emty_pings"):
        chosen(["emty_pings"])


Serve = Callable[[socket.socket], None]
Besiege = Callable[[Attack, Serve], tuple[Attacker, list[str]]]


@pytest.fixture
def besiege() -> Iterator[Besiege]:
    """Return a function that carries out an attack on a server that serves one client at a time.

    The function returns the attacker and the addresses of the clients.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def carry_out(tried: Attack, serve: Serve) -> tuple[Attacker, list[str]]:
        addresses: list[str] = []

        def accept() -> None:
            while True:
                try:
                    client, address = listener.accept()
                except OSError:
                    return
                addresses.append(address[0])
                with client:
                    serve(client)

        thread = threading.Thread(target=accept)
        thread.start()
        port = listener.getsockname()[1]
        attacker = Attacker(port, ADDRESSES, "e.0", "seed", [tried])
        attacker.run(time.monotonic() + SECONDS)
        attacker.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        return attacker, addresses

    yield carry_out
    listener.close()


@attack()
def _flood(target: Target) -> Script:
    """Send bytes again and again."""
    return repeat(b"x" * 1000)


def test_a_client_that_is_shut_out_comes_back_from_another_address(besiege: Besiege) -> None:
    """The addresses take turns."""
    attacker, addresses = besiege(_flood, lambda client: None)
    assert len(addresses) > 2
    assert addresses[:2] == ADDRESSES
    assert attacker.attacks[0].opened >= len(addresses) - 1
    assert attacker.attacks[0].peak == 1


@attack()
def _ask(target: Target) -> Script:
    """Ask, and tell the answer on a new connection."""
    yield b"?"
    found = yield Await(re.compile(rb"<(.*)>"))
    yield RECONNECT
    yield found[1]
    yield FOREVER


def test_a_script_gets_what_it_awaits_and_continues_on_a_new_connection(besiege: Besiege) -> None:
    """The answer arrives in two pieces."""
    heard = []

    def serve(client: socket.socket) -> None:
        heard.append(client.recv(100))
        if heard[-1] == b"?":
            client.sendall(b"HTTP/1.1 200 OK <4")
            client.sendall(b"2>")
        client.recv(100)

    attacker, _ = besiege(_ask, serve)
    assert heard == [b"?", b"42"]
    assert attacker.statuses == {"200": 1}


def test_statuses_are_counted_in_the_answers_to_a_flood(besiege: Besiege) -> None:
    """This holds for an answer that arrives in two pieces, too."""

    def serve(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nHTTP/1.")
        client.recv(1)
        client.sendall(b"1 503 Service Unavailable\r\n\r\n")
        while client.recv(65_536):
            pass

    attacker, _ = besiege(_flood, serve)
    assert attacker.statuses == {"400": 1, "503": 1}
