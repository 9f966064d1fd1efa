import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("arena", "0002_append_only")]

    operations = [
        migrations.CreateModel(
            name="FrontSorting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "fits_digest",
                    models.CharField(help_text="Of the fits it sorted, their votes, and the method.", max_length=64),
                ),
                ("results", models.JSONField()),
                ("seconds", models.FloatField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "study",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="front_sortings", to="arena.study"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(fields=("study", "fits_digest"), name="one_front_sorting_per_set_of_fits")
                ],
            },
        ),
    ]
