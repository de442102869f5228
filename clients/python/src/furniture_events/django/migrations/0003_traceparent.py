"""The trace of an event in the outbox."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds a column that may be NULL, so that no database rewrites the table."""

    dependencies: ClassVar = [("furniture_events", "0002_revocations")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="outboxevent",
            name="traceparent",
            field=models.CharField(
                editable=False,
                help_text="The trace in which it was made; NULL without tracing.",
                max_length=55,
                null=True,
            ),
        ),
    ]
