"""Erased raters; counts per network under a code that changes daily."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0007_first_answers"),
    ]

    operations = [
        migrations.CreateModel(
            name="NetworkKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(unique=True)),
                ("key", models.BinaryField(max_length=32)),
            ],
        ),
        migrations.AddField(
            model_name="rater",
            name="erased_at",
            field=models.DateTimeField(
                blank=True, help_text="When everything that led from the votes to a person was erased.", null=True
            ),
        ),
        migrations.CreateModel(
            name="NetworkCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("network", models.CharField(max_length=64)),
                ("act", models.CharField(choices=[("joined", "Joined"), ("answered", "Answered")], max_length=10)),
                ("since", models.DateTimeField(db_index=True, help_text="Begin of the hour or day that is counted.")),
                ("number", models.PositiveIntegerField(default=0)),
                (
                    "study",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="network_counts", to="arena.study"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("study", "network", "act", "since"), name="one_count_per_network_act_and_time"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("network", ""), _negated=True), name="a_network_count_names_its_network"
                    ),
                ],
            },
        ),
    ]
