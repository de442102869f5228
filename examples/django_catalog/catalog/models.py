"""What the catalogue holds."""

from django.conf import settings
from django.db import models


class Mueble(models.Model):
    """A piece of furniture. Its fields have the names of the contract, but for the author."""

    nombre = models.CharField(max_length=255)
    descripcion = models.TextField("descripción", max_length=10_000, blank=True)
    altura = models.PositiveIntegerField("altura (cm)")
    ancho = models.PositiveIntegerField("ancho (cm)")
    material = models.CharField(max_length=255)
    autor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="muebles")

    class Meta:
        """The newest first, as `catalog.js` keeps them too."""

        ordering = ("-id",)

    def __str__(self) -> str:
        return self.nombre
