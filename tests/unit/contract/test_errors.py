"""The tree of errors: names, retries and wire shape. ``test_sets.py`` compares the codes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sio_server.contract import errors
from sio_server.contract.errors import ContractError, Fault

RETRY_LATER = {"rate_limited", "log_unavailable", "shutting_down", "too_many_connections"}


def errors_below(kind: type[ContractError]) -> Iterator[type[ContractError]]:
    """Yield every error of the module below ``kind``."""
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from errors_below(child)


ERRORS = [error for error in errors_below(ContractError) if "code" in vars(error)]
"""Errors that define a code. The others share their parent's, and differ in the next action."""


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_only_temporary_errors_say_when_to_retry(error: type[ContractError]) -> None:
    """For a permanent error, a retry would only fail again."""
    if error.code in RETRY_LATER:
        assert isinstance(error.retry_after, int)
        assert error.retry_after >= 1
    else:
        assert error.retry_after is None


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_an_error_is_named_after_its_code(error: type[ContractError]) -> None:
    """The class's name and the code are the same words."""
    assert error.__name__.lower() == error.code.replace("_", "")


def test_an_error_without_details_has_no_details_key() -> None:
    """Its wire shape is ``{code, message}``."""
    assert errors.NotFound("no such page").as_dict() == {
        "code": "not_found",
        "message": "no such page",
    }


def test_faults_are_in_the_message_and_in_the_details() -> None:
    """People read the message, and programs read the details."""
    error = errors.InvalidFurniture.of_faults(
        [Fault("furniture.altura", "must be a number ≥ 0"), Fault("furniture.nombre", "no")]
    )
    assert error.as_dict() == {
        "code": "invalid_furniture",
        "message": "furniture.altura: must be a number ≥ 0; furniture.nombre: no",
        "details": [
            {"field": "furniture.altura", "message": "must be a number ≥ 0"},
            {"field": "furniture.nombre", "message": "no"},
        ],
    }


def test_the_text_of_an_error_is_its_message() -> None:
    """A log line that shows the exception shows its message."""
    assert str(errors.Forbidden("not yours")) == "not yours"


def test_an_expired_token_counts_as_unauthorized() -> None:
    """Code that handles ``Unauthorized`` handles both."""
    assert issubclass(errors.TokenExpired, errors.Unauthorized)


def test_a_start_error_is_no_contract_error() -> None:
    """No client is connected yet when a start fails."""
    assert not issubclass(errors.StartError, ContractError)
