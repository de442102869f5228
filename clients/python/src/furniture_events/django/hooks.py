"""Hooks on a model and on each class that inherits from it: its proxies and children.

A hook on the model's class is not enough. A subclass may have a method of its own that calls the
method from before the hook: django-model-utils' ``FieldTracker`` makes such a ``save_base``. And
Django makes a class when its module is imported, which may be after ``ready``: a proxy in an
``admin.py``.
"""

from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import Model
from django.db.models.signals import class_prepared

__all__ = ["for_each_class", "wrap_method"]

Method = Callable[..., Any]


def for_each_class(model: type[Model], do: Callable[[type[Model]], None]) -> None:
    """Call ``do`` for a model and each class that inherits from it, now or when it is made.

    A parent comes before its children. ``do`` may get a class more than once.
    """

    def do_later(sender: type[Model], **_: object) -> None:
        if issubclass(sender, model):
            do(sender)

    for each in (model, *_subclasses(model)):
        do(each)
    class_prepared.connect(do_later, weak=False)


def _subclasses(model: type[Model]) -> Iterator[type[Model]]:
    for child in model.__subclasses__():
        yield child
        yield from _subclasses(child)


def wrap_method(owner: type, name: str, wrap: Callable[[Method], Method], mark: str) -> None:
    """Replace a class's method by ``wrap(method)``, unless the class inherits the wrapped method.

    Args:
        owner: the class.
        name: the method's name.
        wrap: returns the new method. It must use ``functools.wraps``.
        mark: the name of an attribute that tells wrapped methods. A wrapper of a wrapped method has
            it, too, if ``functools.wraps`` copies it. Such a wrapper calls the wrapped method.
    """
    method = getattr(owner, name)
    if not hasattr(method, mark):
        wrapped = wrap(method)
        setattr(wrapped, mark, True)
        setattr(owner, name, wrapped)
