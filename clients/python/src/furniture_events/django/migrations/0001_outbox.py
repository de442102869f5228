"""The outbox and its relay's lease."""

from typing import ClassVar

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates both tables."""

    initial = True

    dependencies: ClassVar = []

    operations: ClassVar = [
        migrations.CreateModel(
            name="RelayLease",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("holder", models.CharField(max_length=64)),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "relay lease",
            },
        ),
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("type", models.CharField(max_length=32)),
                ("furniture_id", models.TextField(verbose_name="furniture id")),
                ("event", models.TextField(help_text="As JSON; its id is the idempotency key.")),
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
                "verbose_name": "outbox event",
                "ordering": ["id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("error", "")),
                        fields=["id"],
                        name="furniture_events_waiting",
                    )
                ],
            },
        ),
    ]
