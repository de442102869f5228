"""The catalogue in the admin. Its changes are published, too."""

from django.contrib import admin

from catalog.models import Mueble


@admin.register(Mueble)
class MuebleAdmin(admin.ModelAdmin):
    """Pieces, with their authors."""

    list_display = ("nombre", "material", "altura", "ancho", "autor")
    list_filter = ("material",)
    list_select_related = ("autor",)
    search_fields = ("nombre", "descripcion")
