"""The site's only model."""

from django.db import models


class Mueble(models.Model):
    """A piece of furniture, with the contract's names."""

    nombre = models.CharField(max_length=255)
    descripcion = models.TextField()
    altura = models.IntegerField()
    ancho = models.IntegerField()
    material = models.CharField(max_length=255)
    autor_username = models.CharField(max_length=255)
