"""Models of every kind: the contract's names, others, UUID keys, inheritance, a function."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models


class Furniture(models.Model):
    """What most models here share, by the contract's names."""

    nombre = models.CharField(max_length=255)
    descripcion = models.TextField(blank=True, default="")
    altura = models.DecimalField(max_digits=8, decimal_places=2)
    ancho = models.DecimalField(max_digits=8, decimal_places=2)
    material = models.CharField(max_length=255)
    autor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)

    class Meta:
        abstract = True


class Mueble(Furniture):
    """The usual one, with a column that is not published."""

    notas = models.TextField(blank=True, default="")


class Destacado(Mueble):
    """A proxy of it, as an admin may have."""

    class Meta:
        proxy = True


class Sofa(Mueble):
    """A child with a table of its own, mapped in its own way."""

    plazas = models.IntegerField(default=2)
    detalles = models.JSONField(default=dict)


class Mesa(Mueble):
    """A child that is mapped as its parent is."""

    patas = models.IntegerField(default=4)


class Banco(Mueble):
    """One with a key of its own, so that the link to its parent is not its key."""

    codigo = models.CharField(max_length=16, primary_key=True)
    mueble_ptr = models.OneToOneField(Mueble, models.CASCADE, parent_link=True)


class Lampara(Furniture):
    """Mapped by a function."""

    vatios = models.FloatField()


def lamp_as_furniture(lamp: Lampara) -> dict[str, Any]:
    """Map what lookups cannot. Raises `ValueError` for a lamp without a name."""
    if not lamp.nombre:
        raise ValueError("a lamp has no name")
    return {
        "nombre": lamp.nombre.upper(),
        "descripcion": f"{lamp.vatios} W",
        "altura": lamp.altura,
        "ancho": lamp.ancho,
        "material": lamp.material,
        "autor_username": lamp.autor.username,
    }


class Nota(models.Model):
    """What refers to a piece, and is not one."""

    mueble = models.ForeignKey(Mueble, models.CASCADE)


class Maker(models.Model):
    """Somebody with a user."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)


class Pieza(models.Model):
    """Other names, a UUID key, an author that is two joins away, a further field."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=255)
    text = models.TextField(default="")
    height = models.IntegerField()
    width = models.FloatField()
    material = models.CharField(max_length=255)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    maker = models.ForeignKey(Maker, models.CASCADE)
