"""The catalogue in the admin: what is changed here is live, too."""

from django.contrib import admin

from catalog.models import Mueble


@admin.register(Mueble)
class MuebleAdmin(admin.ModelAdmin):
    """Pieces, with who made them."""

    list_display = ("nombre", "material", "altura", "ancho", "autor")
    list_filter = ("material",)
    list_select_related = ("autor",)
    search_fields = ("nombre", "descripcion")
