"""The translated columns, which modeltranslation adds to a model."""

from modeltranslation.translator import TranslationOptions, register

from tests.django.showroom.models import Florero, Jarron


@register([Florero, Jarron])
class NameTranslation(TranslationOptions):
    """``nombre_en`` and ``nombre_es``."""

    fields = ("nombre",)
