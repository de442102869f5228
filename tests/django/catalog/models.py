"""Models of every kind: the contract's names, other names, UUID keys, inheritance, a function."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models


class Furniture(models.Model):
    """The fields of most models here, by the contract's names."""

    nombre = models.CharField(max_length=255)
    descripcion = models.TextField(blank=True, default="")
    altura = models.DecimalField(max_digits=8, decimal_places=2)
    ancho = models.DecimalField(max_digits=8, decimal_places=2)
    material = models.CharField(max_length=255)
    autor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)

    class Meta:
        abstract = True


class Mueble(Furniture):
    """The usual model, with one column that is not published."""

    notas = models.TextField(blank=True, default="")


class Destacado(Mueble):
    """A proxy of ``Mueble``, as an admin may have one."""

    class Meta:
        proxy = True


class Sofa(Mueble):
    """A child with its own table and its own mapping."""

    plazas = models.IntegerField(default=2)
    detalles = models.JSONField(default=dict)


class Mesa(Mueble):
    """A child without a mapping, which is published by its parent's."""

    patas = models.IntegerField(default=4)


class Banco(Mueble):
    """A child with its own key, so that the link to its parent is not its key."""

    codigo = models.CharField(max_length=16, primary_key=True)
    mueble_ptr = models.OneToOneField(Mueble, models.CASCADE, parent_link=True)


class Lampara(Furniture):
    """A model that a function maps."""

    vatios = models.FloatField()


def lamp_as_furniture(lamp: Lampara) -> dict[str, Any] | None:
    """Return a lamp's furniture. None hides a lamp without light.

    Raises:
        ValueError: the lamp has no name.
    """
    if not lamp.vatios:
        return None
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
    """A note, which refers to a piece and is not published."""

    mueble = models.ForeignKey(Mueble, models.CASCADE)


class Maker(models.Model):
    """A maker, who has a user."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)


class Pieza(models.Model):
    """A model with other names, a UUID key, an author over two joins, and one field more."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=255)
    text = models.TextField(default="")
    height = models.IntegerField()
    width = models.FloatField()
    material = models.CharField(max_length=255)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    maker = models.ForeignKey(Maker, models.CASCADE)
