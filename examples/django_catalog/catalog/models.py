"""The catalogue's only model."""

from django.conf import settings
from django.db import models


class Mueble(models.Model):
    """A piece of furniture. Its fields have the contract's names, except for the author."""

    nombre = models.CharField(max_length=255)
    descripcion = models.TextField("descripción", max_length=10_000, blank=True)
    altura = models.PositiveIntegerField("altura (cm)")
    ancho = models.PositiveIntegerField("ancho (cm)")
    material = models.CharField(max_length=255)
    autor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="muebles")

    class Meta:
        """The newest piece first."""

        ordering = ("-id",)

    def __str__(self) -> str:
        return self.nombre
