"""Why a run was paused by itself."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generation", "0005_batch_limit")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="pause_reason",
            field=models.TextField(
                blank=True,
                default="",
                help_text="Why it was paused by itself and will go on by itself; empty where a person paused it.",
            ),
            preserve_default=False,
        ),
    ]
