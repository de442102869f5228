"""A model with drafts, and models of safedelete, modeltranslation and parler."""

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
