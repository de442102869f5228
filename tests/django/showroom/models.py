"""Models with drafts, of safedelete, modeltranslation and parler, and with related rows."""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy
from parler.models import TranslatableModel, TranslatedFields
from safedelete.models import SafeDeleteModel

from tests.django.catalog.models import Furniture


class Vitrina(Furniture):
    """A piece that may be a draft, and a column with a duration."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    publicada = models.BooleanField(default=True)
    montaje = models.DurationField(default=timedelta(minutes=90))


def is_wide(vitrina: Vitrina) -> bool:
    """Tell whether a piece is to be published, as a function of ``PUBLISH_IF`` does."""
    return vitrina.ancho >= 100


class Baul(SafeDeleteModel, Furniture):
    """A piece whose delete only marks its row (safedelete)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class Cojin(Furniture):
    """A piece that the database deletes with its author, since Django 6.1. It is not mapped."""

    autor = models.ForeignKey(
        settings.AUTH_USER_MODEL, getattr(models, "DB_CASCADE", models.CASCADE)
    )


class Jarron(Furniture):
    """A piece with a translated name (modeltranslation, see ``translation.py``)."""


class Florero(Furniture):
    """A piece with a translated name that is mapped by lookups."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


def vase_as_furniture(vase: Jarron) -> dict[str, Any]:
    """Return a vase's furniture: one text is translated in a column, and one is lazy."""
    return {
        "furniture_id": f"vase-{vase.pk}",
        "nombre": vase.nombre,
        "descripcion": str(gettext_lazy("Monday")),
        "altura": vase.altura,
        "ancho": vase.ancho,
        "material": gettext_lazy("Tuesday"),
        "autor_username": vase.autor.username,
        "dias": {"uno": [gettext_lazy("Wednesday")]},
    }


class Espejo(TranslatableModel):
    """A piece whose texts are in a table of translations (parler)."""

    alto = models.IntegerField(default=1)
    translations = TranslatedFields(nombre=models.CharField(max_length=255))

    def save_base(self, *args: Any, **options: Any) -> None:
        """Write the translations within the save, and not after it."""
        super().save_base(*args, **options)
        self.save_translations(using=options.get("using"))


def mirror_as_furniture(mirror: Espejo) -> dict[str, Any] | None:
    """Return a mirror's furniture. None before it has a name in the site's language."""
    nombre = mirror.safe_translation_getter("nombre")
    return nombre and {
        "furniture_id": f"mirror-{mirror.pk}",
        "nombre": nombre,
        "descripcion": "",
        "altura": mirror.alto,
        "ancho": 1,
        "material": "vidrio",
        "autor_username": "ana",
    }


class Escuela(models.Model):
    """A school of workshops: two relations away from the pieces."""

    nombre = models.CharField(max_length=255)


class Taller(models.Model):
    """A workshop, whose name is a part of its pieces' furniture."""

    nombre = models.CharField(max_length=255)
    telefono = models.CharField(max_length=255, default="")
    escuela = models.ForeignKey(Escuela, models.SET_NULL, null=True)


class Ebanisteria(Taller):
    """A workshop with its own table."""

    premios = models.IntegerField(default=0)


class Biombo(Furniture):
    """A piece of a workshop, which may be deleted, and a column with the time of the save."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    taller = models.ForeignKey(Taller, models.SET_NULL, null=True)
    revisor = models.ForeignKey(Taller, models.SET_NULL, null=True, related_name="revisados")
    cambiado = models.DateTimeField(auto_now=True)


class Tapiz(Furniture):
    """A piece of a workshop that takes its pieces with it."""

    taller = models.ForeignKey(Taller, models.CASCADE)


class Encargo(models.Model):
    """An order for a piece: the piece's furniture has all of them."""

    tapiz = models.ForeignKey(Tapiz, models.CASCADE)
    texto = models.CharField(max_length=255)
    escuela = models.ForeignKey(Escuela, models.CASCADE, null=True)


class Premio(models.Model):
    """An award of a school for a piece."""

    tapiz = models.ForeignKey(Tapiz, models.CASCADE)
    escuela = models.ForeignKey(Escuela, models.CASCADE)


def tapestry_as_furniture(tapiz: Tapiz) -> dict[str, Any]:
    """Return a tapestry's furniture, with its workshop, its orders and its awards."""
    return {
        "furniture_id": f"tapiz-{tapiz.pk}",
        "nombre": tapiz.nombre,
        "descripcion": "",
        "altura": tapiz.altura,
        "ancho": tapiz.ancho,
        "material": tapiz.material,
        "autor_username": tapiz.autor.username,
        "taller": tapiz.taller.nombre,
        "encargos": sorted(each.texto for each in tapiz.encargo_set.all()),
        "premios": tapiz.premio_set.count(),
    }
