"""``call_command`` can run the relay in a site's own process, which it leaves as it was."""

from __future__ import annotations

import signal
from collections.abc import Callable

import loopback
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from furniture_events.django.models import OutboxEvent

from tests.django.overrides import override_setting
from tests.django.pieces import mueble
from tests.django.relays import Relay, site_environment, wait_until_sent


@pytest.mark.parametrize("options", [["--once"], []])
def test_a_relay_inside_a_transaction_sends_nothing(
    autor: User, broker: loopback.Broker, options: list[str]
) -> None:
    """Its events are not committed yet. The transaction can continue and be committed."""
    with override_setting(URL=broker.url):
        with transaction.atomic():
            mueble(autor).save()
            with pytest.raises(CommandError, match="a transaction is open on 'default'"):
                call_command("relay_furniture_events", *options)
        assert (broker.seen, OutboxEvent.objects.count()) == ([], 1)
        call_command("relay_furniture_events", "--once")
    assert (len(broker.log), OutboxEvent.objects.count()) == (1, 0)


def test_a_relay_without_autocommit_sends_nothing(autor: User, broker: loopback.Broker) -> None:
    """A transaction is open then, without a block."""
    transaction.set_autocommit(False)
    try:
        with override_setting(URL=broker.url):
            with pytest.raises(CommandError, match="a transaction is open"):
                call_command("relay_furniture_events", once=True)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert broker.seen == []


def test_a_transaction_of_another_database_is_no_obstacle(
    autor: User, broker: loopback.Broker, other_site: str
) -> None:
    """The relay does not use that database."""
    mueble(autor).save()
    with override_setting(URL=broker.url), transaction.atomic(using=other_site):
        call_command("relay_furniture_events", once=True)
    assert len(broker.log) == 1


IN_A_THREAD = """
import signal, threading, django
django.setup()
from django.core.management import call_command

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
before = signal.getsignal(signal.SIGTERM)
threading.Thread(target=call_command, args=["relay_furniture_events"], daemon=True).start()
signal.sigwait([signal.SIGUSR1])
print("same", signal.getsignal(signal.SIGTERM) is before, flush=True)
"""

IN_A_SCRIPT = """
import logging, signal, django
django.setup()
from django.core.management import call_command

def stop(*_):
    print("stopped by the script", flush=True)

signal.signal(signal.SIGTERM, stop)
call_command("relay_furniture_events", verbosity=2)
signal.raise_signal(signal.SIGTERM)
print("handlers", logging.getLogger("furniture_events").handlers, flush=True)
"""


@pytest.fixture
def start(broker: loopback.Broker) -> Callable[[str], Relay]:
    """Return a function that starts a script of the site."""

    def start(script: str) -> Relay:
        environment = site_environment(connection.settings_dict, URL=broker.url)
        return Relay(environment=environment, program=("-c", script))

    return start


def test_a_relay_in_a_thread_leaves_the_signals_to_the_main_thread(
    autor: User, start: Callable[[str], Relay]
) -> None:
    """Python allows no other thread to handle them."""
    mueble(autor).save()
    script = start(IN_A_THREAD)
    try:
        wait_until_sent()
        script.signal(signal.SIGUSR1)
        assert script.wait() == 0, script.output
    finally:
        script.kill()
    assert "same True" in script.output


def test_a_relay_in_a_script_restores_its_signal_handlers(start: Callable[[str], Relay]) -> None:
    """And it leaves no log handler. A signal stops only the relay."""
    script = start(IN_A_SCRIPT)
    try:
        script.wait_for("relay_active")
        script.signal(signal.SIGTERM)
        assert script.wait() == 0, script.output
    finally:
        script.kill()
    assert "stopped by the script" in script.output
    assert "StreamHandler" not in script.output
