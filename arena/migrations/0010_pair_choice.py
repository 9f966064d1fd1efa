"""Rows derived from ballots, by which the next pair is found: exposure, needs and chances."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

from arena import exposure_triggers


def write_exposure_down(apps: Any, schema_editor: Any) -> None:
    exposure_triggers.create(schema_editor)
    exposure_triggers.count_what_is_there(schema_editor)


def stop_writing(apps: Any, schema_editor: Any) -> None:
    exposure_triggers.drop(schema_editor)


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0009_integrity"),
        ("generation", "0002_checkpoint_base_and_recipe_without"),
    ]

    operations = [
        migrations.CreateModel(
            name="PairExposure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stratum", models.CharField(max_length=20)),
                ("low_image", models.BigIntegerField()),
                ("high_image", models.BigIntegerField()),
                ("low_contender", models.BigIntegerField()),
                ("high_contender", models.BigIntegerField()),
                ("standing", models.IntegerField(help_text="Ballots open or answered, more or less.")),
                ("low_left", models.IntegerField(help_text="Those of them that have the lower image on the left.")),
                (
                    "towards",
                    models.IntegerField(help_text="Those of them that count towards the target: all but skipped ones."),
                ),
                ("is_sum", models.BooleanField(default=False)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="PairPlan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rule", models.CharField(max_length=20)),
                ("contenders", models.JSONField(help_text="Ids, in the order of the chances.")),
                ("chances", models.JSONField(help_text="Of each pair: the upper triangle, row by row; they sum to 1.")),
                ("votes", models.PositiveIntegerField()),
                (
                    "saw",
                    models.CharField(help_text="Digest of which votes and contenders it was made of.", max_length=64),
                ),
                ("seconds", models.FloatField()),
                ("made_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="PromptNeed",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stratum", models.CharField(max_length=20)),
                ("open_pairs", models.PositiveIntegerField()),
                ("stamp", models.CharField(max_length=40)),
            ],
        ),
        migrations.AddIndex(
            model_name="ballot",
            index=models.Index(
                condition=models.Q(("state", "open")), fields=["lease_until"], name="open_ballots_by_lease"
            ),
        ),
        migrations.AddField(
            model_name="pairexposure",
            name="study",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="arena.study"
            ),
        ),
        migrations.AddField(
            model_name="pairexposure",
            name="study_prompt",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="arena.studyprompt"
            ),
        ),
        migrations.AddField(
            model_name="pairplan",
            name="study",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="pair_plan", to="arena.study"
            ),
        ),
        migrations.AddField(
            model_name="promptneed",
            name="study",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="arena.study"
            ),
        ),
        migrations.AddField(
            model_name="promptneed",
            name="study_prompt",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="arena.studyprompt"
            ),
        ),
        migrations.AddIndex(
            model_name="pairexposure",
            index=models.Index(fields=["study_prompt", "stratum"], name="exposure_of_a_prompt"),
        ),
        migrations.AddIndex(
            model_name="pairexposure",
            index=models.Index(fields=["study", "stratum"], name="exposure_of_a_study"),
        ),
        migrations.AddIndex(
            model_name="pairexposure",
            index=models.Index(
                condition=models.Q(("is_sum", False)), fields=["study_prompt"], name="exposure_not_folded_yet"
            ),
        ),
        migrations.AddIndex(
            model_name="pairexposure",
            index=models.Index(
                condition=models.Q(("towards__lt", 0)),
                fields=["study", "stratum", "study_prompt"],
                name="exposure_taken_back",
            ),
        ),
        migrations.AddConstraint(
            model_name="promptneed",
            constraint=models.UniqueConstraint(
                fields=("study", "stratum", "study_prompt"), name="one_need_per_study_stratum_and_prompt"
            ),
        ),
        migrations.RunPython(write_exposure_down, stop_writing),
    ]
