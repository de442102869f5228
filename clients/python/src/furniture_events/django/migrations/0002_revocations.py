"""The revocations in the outbox."""

from typing import ClassVar

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates the table."""

    dependencies: ClassVar = [("furniture_events", "0001_outbox")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="OutboxRevocation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "sub",
                    models.TextField(
                        help_text="The primary key of the user.", verbose_name="subject"
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "error",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="Why the broker refuses it; empty while it is waiting.",
                    ),
                ),
            ],
            options={
                "verbose_name": "outbox revocation",
                "ordering": ["id"],
            },
        ),
    ]
