"""Answers given before the prompt was shown, kept with the ballot until its votes are cast."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("arena", "0006_fit_options_help")]

    operations = [
        migrations.AddField(
            model_name="ballot",
            name="first_answers",
            field=models.JSONField(
                blank=True,
                null=True,
                help_text="Criterion key to choice, for questions that were answered before the prompt was shown.",
            ),
        ),
    ]
