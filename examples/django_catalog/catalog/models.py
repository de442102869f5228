"""The catalogue's only model. django-auditlog remembers who has changed what."""

from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Mueble(models.Model):
    """A piece of furniture. Its fields have the contract's names, except for the author."""

    nombre = models.CharField(_("nombre"), max_length=255)
    descripcion = models.TextField(_("descripción"), max_length=10_000, blank=True)
    altura = models.PositiveIntegerField(_("altura"))
    ancho = models.PositiveIntegerField(_("ancho"))
    material = models.CharField(_("material"), max_length=255)
    autor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="muebles", verbose_name=_("autor")
    )

    class Meta:
        """The newest piece first."""

        ordering = ("-id",)
        verbose_name = _("mueble")
        verbose_name_plural = _("muebles")

    def __str__(self) -> str:
        return self.nombre


auditlog.register(Mueble)
