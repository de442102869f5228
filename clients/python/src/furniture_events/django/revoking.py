"""Revoke the tokens of a user: in the transaction that is open, through the outbox.

A user who signs out, gets another password, is deactivated or deleted loses their tokens, if the
setting ``REVOKE_ON`` has the word. ``QuerySet.update`` and ``bulk_update`` send no signals and call
no ``save``: revoke by hand there.
"""

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import get_hasher, identify_hasher, is_password_usable
from django.contrib.auth.signals import user_logged_out
from django.db import router, transaction
from django.db.models import Model
from django.db.models.signals import post_delete

from furniture_events.django import direct
from furniture_events.django.conf import config
from furniture_events.django.deserialized import is_loading_fixtures, watch_deserialized
from furniture_events.django.hooks import Method, for_each_class, wrap_method
from furniture_events.django.mapping import rows_of

__all__ = ["revoke", "watch_users"]

_WATCHED = ("password", "is_active")

_MARK = "furniture_events_revoking"


def revoke(user: Any, *, using: str | None = None) -> None:
    """Revoke the tokens that a user has now, as part of the open transaction.

    The relay tells the broker after the commit. Then the broker refuses these tokens, and closes
    their connections within seconds. A rollback revokes nothing.

    Args:
        user: an instance of the user model.
        using: the database of the transaction. None: the database that the user is saved to.
    """
    using = using or router.db_for_write(type(user), instance=user)
    sub = str(user.pk)
    if config().mode == "direct":
        direct.revoke_on_commit(sub, using)
        return
    from furniture_events.django import outbox  # noqa: PLC0415 - models exist now

    with transaction.atomic(using=using):
        outbox.append_revocation(sub, using)


def watch_users() -> None:
    """Revoke the tokens of users who sign out, get another password, are deactivated or deleted."""
    if not apps.is_installed("django.contrib.auth"):
        return
    model: Any = get_user_model()
    user_logged_out.connect(_after_logout, dispatch_uid="furniture_events")

    def watch_class(each: type[Model]) -> None:
        wrap_method(each, "save_base", _revoking_save, _MARK)
        if each._meta.concrete_model is model:
            post_delete.connect(_after_delete, sender=each, dispatch_uid="furniture_events_user")

    for_each_class(model, watch_class)
    watch_deserialized(lambda user, using: _saving(user, using, raw=True), _MARK)


def _revokes_on(word: str) -> bool:
    return config().token_secret is not None and word in config().revoke_on


def _after_logout(user: Any = None, **_: object) -> None:
    if user is not None and user.pk is not None and _revokes_on("logout"):
        revoke(user)


def _after_delete(instance: Any, using: str, **_: object) -> None:
    if _revokes_on("deletion"):
        revoke(instance, using=using)  # the collector sets the primary key to None after this


def _revoking_save(original: Method) -> Method:
    """Let a save that takes something from a user revoke their tokens, in one transaction."""

    @wraps(original)
    def save_base(self: Model, *args: Any, **options: Any) -> None:
        using = options.get("using") or router.db_for_write(type(self), instance=self)
        options["using"] = using
        raw, names = bool(options.get("raw")), options.get("update_fields")
        with _saving(self, using, raw=raw, names=names):
            original(self, *args, **options)

    return save_base


def _saving(
    user: Any, using: str, *, raw: bool, names: Collection[str] | None = None
) -> AbstractContextManager[None]:
    """Return the context of a save, which revokes a user's tokens if the save says so."""
    model: Any = get_user_model()
    watched = [each.name for each in model._meta.concrete_fields if each.name in _WATCHED]
    if (
        not isinstance(user, model)
        or not watched
        or (raw and is_loading_fixtures())
        or (user._state.adding and not raw)  # an object that a serializer has read is always new
        or (names is not None and set(names).isdisjoint(watched))
        or not (_revokes_on("password") or _revokes_on("deactivation"))
        or _MARK in vars(user._state)  # the wrapped save of a subclass calls its parent's
    ):
        return nullcontext()
    return _revoking(user, watched, using, names)


def _is_rehash(user: Any, old: str) -> bool:
    """Tell whether a sign-in has replaced an outdated hash by a new one of the same password."""
    if getattr(user, "_password", None) is not None or not is_password_usable(user.password):
        return False
    try:
        hasher = identify_hasher(old)
    except ValueError:
        return False
    preferred = get_hasher()
    return hasher.algorithm != preferred.algorithm or preferred.must_update(old)


@contextmanager
def _revoking(
    user: Any, watched: list[str], using: str, names: Collection[str] | None
) -> Iterator[None]:
    state = vars(user._state)
    with transaction.atomic(using=using, savepoint=False):
        rows = rows_of(get_user_model(), using).filter(pk=user.pk)
        before = rows.values(*watched).first()
        state[_MARK] = True
        try:
            yield
        finally:
            del state[_MARK]
        after = rows.values(*watched).first()
        if before is None or after is None:
            return
        new_password = before.get("password") != after.get("password") and not (
            names is not None
            and set(names) == {"password"}
            and _is_rehash(user, before["password"])
        )
        deactivated = bool(before.get("is_active")) and not after.get("is_active", True)
        if (new_password and _revokes_on("password")) or (
            deactivated and _revokes_on("deactivation")
        ):
            revoke(user, using=using)
