"""The translated fields of the test site, for django-modeltranslation."""

from modeltranslation.translator import TranslationOptions, register

from tests.django.catalog.models import Estante


@register(Estante)
class EstanteTranslation(TranslationOptions):
    """A shelf's name has a column for each language."""

    fields = ("nombre",)
