"""The first table."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Make the table of the pieces."""

    initial = True
    dependencies = (migrations.swappable_dependency(settings.AUTH_USER_MODEL),)
    operations = (
        migrations.CreateModel(
            name="Mueble",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("nombre", models.CharField(max_length=255, verbose_name="nombre")),
                (
                    "descripcion",
                    models.TextField(blank=True, max_length=10000, verbose_name="descripción"),
                ),
                ("altura", models.PositiveIntegerField(verbose_name="altura")),
                ("ancho", models.PositiveIntegerField(verbose_name="ancho")),
                ("material", models.CharField(max_length=255, verbose_name="material")),
                (
                    "autor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="muebles",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="autor",
                    ),
                ),
            ],
            options={
                "ordering": ("-id",),
                "verbose_name": "mueble",
                "verbose_name_plural": "muebles",
            },
        ),
    )
