"""Models of every kind: the contract's names, other names, UUID keys, inheritance, a function."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from furniture_events.django.managers import PublishingManager
from model_utils import FieldTracker


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


class Vigilado(Mueble):
    """A proxy whose tracker has wrapped Django's own ``save_base``, before the app's hook."""

    tracker = FieldTracker()

    class Meta:
        proxy = True


class Masivo(Mueble):
    """A proxy whose bulk changes publish by themselves."""

    objects = PublishingManager()

    class Meta:
        proxy = True


class Cama(Mueble):
    """A child with such a tracker."""

    plazas = models.IntegerField(default=1)
    tracker = FieldTracker()


class Sofa(Mueble):
    """A child with its own table and its own mapping."""

    plazas = models.IntegerField(default=2)
    detalles = models.JSONField(default=dict)


class Divan(Sofa):
    """A proxy that has Django's own ``delete`` from before the app's hook."""

    delete = models.Model.delete

    class Meta:
        proxy = True


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


class _Counting(models.Manager):
    """A manager whose rows PostgreSQL cannot lock."""

    def get_queryset(self) -> Any:
        return super().get_queryset().annotate(grupos=models.Count("autor__groups")).distinct()


class Silla(Furniture):
    """A model whose base manager makes another query than Django's own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)

    objects = _Counting()

    class Meta:
        base_manager_name = "objects"


class Estante(Furniture):
    """A model with a translated name: see ``translation.py``."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class Acabado(models.Model):
    """A finish of wardrobes."""

    nombre = models.CharField(max_length=255)


class Herraje(models.Model):
    """A fitting of wardrobes."""

    nombre = models.CharField(max_length=255)


class Armario(Furniture):
    """A model with relations of every kind, which a function maps."""

    acabados = models.ManyToManyField(Acabado)
    herrajes = models.ManyToManyField(Herraje, through="Montaje")
    conjunto = models.ManyToManyField("self")


class Montaje(models.Model):
    """A row of a relation that has its own model."""

    armario = models.ForeignKey(Armario, models.CASCADE)
    herraje = models.ForeignKey(Herraje, models.CASCADE)
    cantidad = models.IntegerField(default=1)


class Coleccion(models.Model):
    """A collection, which has the relation to its wardrobes."""

    nombre = models.CharField(max_length=255)
    armarios = models.ManyToManyField(Armario)


def wardrobe_as_furniture(armario: Armario) -> dict[str, Any]:
    """Return a wardrobe's furniture, with its relations. Its id has a prefix."""
    return {
        "furniture_id": f"armario-{armario.pk}",
        "nombre": armario.nombre,
        "descripcion": "",
        "altura": armario.altura,
        "ancho": armario.ancho,
        "material": armario.material,
        "autor_username": armario.autor.username,
        "acabados": sorted(each.nombre for each in armario.acabados.all()),
        "herrajes": sorted(
            f"{each.cantidad} {each.herraje.nombre}" for each in armario.montaje_set.all()
        ),
        "conjunto": sorted(each.nombre for each in armario.conjunto.all()),
        "colecciones": sorted(each.nombre for each in armario.coleccion_set.all()),
    }
