"""Drawings and changed values in templates, after ``{% load catalog %}``."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from django import template
from django.forms import BaseForm
from django.utils.safestring import SafeString, mark_safe

from catalog.drawing.figure import LIST_WALL_CM, figure, measure, swatch, wall_for
from catalog.drawing.grain import grains
from catalog.models import Mueble

register = template.Library()


class Draft(NamedTuple):
    """The data of a drawing. In a form it may be incomplete."""

    nombre: str
    material: str
    altura: float
    ancho: float


@register.simple_tag(name="grains")
def all_grains() -> SafeString:
    """Emit the patterns of the drawings, once for a page."""
    return _safe(grains())


@register.simple_tag(name="figure")
def figure_in_list(mueble: Mueble) -> SafeString:
    """Draw a piece of the list; if its size was changed, with the outline of the old one."""
    piece = Draft(mueble.nombre, mueble.material, mueble.altura, mueble.ancho)
    before = {name: _before(mueble, name) for name in ("altura", "ancho")}
    sizes = {name: float(size) for name, size in before.items() if size is not None}
    return _figure(piece, piece._replace(**sizes) if sizes else None)


@register.filter
def is_to_scale(mueble: Mueble) -> bool:
    """Tell whether the list's drawing of a piece has its true size."""
    return measure(mueble, LIST_WALL_CM).is_to_scale


@lru_cache(maxsize=1000)
def _figure(piece: Draft, was: Draft | None) -> SafeString:
    return _safe(figure(piece, was=None if was is None else measure(was, LIST_WALL_CM)))


@register.simple_tag(name="swatch")
def swatch_of(material: str) -> SafeString:
    """Draw a square of a material."""
    return _safe(swatch(material))


@register.simple_tag
def preview(values: BaseForm | Mueble | dict[str, str]) -> SafeString:
    """Draw the piece of a form, with its sizes; ``?`` for a missing one."""

    def value(name: str) -> Any:
        if isinstance(values, BaseForm):
            return values[name].value()
        return values.get(name) if isinstance(values, dict) else getattr(values, name)

    texts = [_size(value(name)) for name in ("ancho", "altura")]
    ancho, altura = (float(text or usual) for text, usual in zip(texts, (120, 75), strict=True))
    draft = Draft(value("nombre") or "", value("material") or "", altura, ancho)
    ancho_text, altura_text = (text or "?" for text in texts)
    return _safe(figure(draft, wall_for(draft), numbers=(ancho_text, altura_text)))


@register.inclusion_tag("catalog/value.html")
def value(mueble: Mueble, field: str) -> dict[str, object]:
    """Show a field; if the last change has changed it, also the old value, which CSS may show."""
    return {"now": getattr(mueble, field), "before": _before(mueble, field)}


def _before(mueble: Mueble, field: str) -> str | None:
    """Return the value before the last change; None if that did not change the field."""
    before, _ = (getattr(mueble, "last_change", None) or {}).get(field, (None, None))
    return before


def _size(text: object) -> str:
    """Return a size as the user wrote it; nothing if it cannot be drawn."""
    written = str(text or "").strip()
    return written if re.fullmatch("[1-9][0-9]{0,4}", written) else ""


def _safe(svg: str) -> SafeString:
    return mark_safe(svg)  # noqa: S308 - catalog.drawing.svg has escaped every text
