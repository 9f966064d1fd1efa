"""Known answers, checks, suspicions, published roots and the judge table; TRUNCATE is refused too."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ROOTS = "arena_voteroot"
APPEND_ONLY = {"arena_vote": "votes", "arena_auditevent": "audit events", ROOTS: "published roots"}


def refuse_changes(apps: Any, schema_editor: Any) -> None:
    """Roots become append-only like votes, and PostgreSQL refuses TRUNCATE, which passes by triggers on rows."""
    sqlite = schema_editor.connection.vendor == "sqlite"
    for table, what in APPEND_ONLY.items():
        for act in [*(("UPDATE", "DELETE") if table == ROOTS else ()), *(() if sqlite else ("TRUNCATE",))]:
            name, sentence = f"{table}_refuses_{act.lower()}", f"{what} are append-only: {act} is refused"
            if sqlite:
                schema_editor.execute(
                    f"CREATE TRIGGER {name} BEFORE {act} ON {table} BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
                )
                continue
            schema_editor.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{sentence}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
            )
            each = "STATEMENT" if act == "TRUNCATE" else "ROW"
            schema_editor.execute(
                f"CREATE TRIGGER {name} BEFORE {act} ON {table} FOR EACH {each} EXECUTE FUNCTION {name}()"
            )


def allow_changes(apps: Any, schema_editor: Any) -> None:
    sqlite = schema_editor.connection.vendor == "sqlite"
    for table in APPEND_ONLY:
        for act in [*(("UPDATE", "DELETE") if table == ROOTS else ()), *(() if sqlite else ("TRUNCATE",))]:
            name = f"{table}_refuses_{act.lower()}"
            schema_editor.execute(f"DROP TRIGGER {name}" if sqlite else f"DROP TRIGGER {name} ON {table}")
            if not sqlite:
                schema_editor.execute(f"DROP FUNCTION {name}()")


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0008_privacy"),
        ("generation", "0002_checkpoint_base_and_recipe_without"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Gold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "answers",
                    models.JSONField(
                        help_text="By criterion key: first, second or tie. Questions left out are not judged."
                    ),
                ),
                ("reviewed_at", models.DateTimeField(blank=True, null=True)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "first_contender",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="arena.contender"
                    ),
                ),
                (
                    "first_image",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="generation.image"
                    ),
                ),
                (
                    "proposer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reviewer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "second_contender",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="arena.contender"
                    ),
                ),
                (
                    "second_image",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="generation.image"
                    ),
                ),
                (
                    "study",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="golds", to="arena.study"
                    ),
                ),
                (
                    "study_prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="arena.studyprompt"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="BallotCheck",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "ballot",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="check_against", to="arena.ballot"
                    ),
                ),
                (
                    "repeats",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="repeated_by",
                        to="arena.ballot",
                    ),
                ),
                (
                    "gold",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checks",
                        to="arena.gold",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RaterTable",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state_digest", models.CharField(help_text="Of the votes and exclusions that it saw.", max_length=64)),
                ("results", models.JSONField()),
                ("seconds", models.FloatField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "study",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="rater_tables", to="arena.study"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="VoteRoot",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("root", models.CharField(max_length=64)),
                ("heads", models.JSONField(help_text="Rater id -> sequence of the last vote that the root covers.")),
                ("votes", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "study",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="vote_roots", to="arena.study"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Flag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "cohort",
                    models.CharField(
                        blank=True, help_text="Raters who came together, where it is about them.", max_length=60
                    ),
                ),
                ("kind", models.CharField(max_length=30)),
                (
                    "p",
                    models.FloatField(
                        help_text="How rarely an honest rater with a taste of their own would look like this."
                    ),
                ),
                (
                    "statistic",
                    models.JSONField(help_text="What was observed and expected, over how many votes, about whom."),
                ),
                ("sentence", models.TextField()),
                ("found_at", models.DateTimeField(auto_now_add=True)),
                (
                    "faded_at",
                    models.DateTimeField(
                        blank=True, help_text="When the votes no longer gave this suspicion.", null=True
                    ),
                ),
                (
                    "dismissed_at",
                    models.DateTimeField(blank=True, help_text="When a person found nothing wrong.", null=True),
                ),
                (
                    "dismissed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "criterion",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="arena.criterion",
                    ),
                ),
                (
                    "rater",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="flags",
                        to="arena.rater",
                    ),
                ),
                (
                    "study",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="flags", to="arena.study"
                    ),
                ),
            ],
            options={
                "ordering": ["p", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("cohort", ""), ("rater__isnull", False)),
                            models.Q(("rater__isnull", True), models.Q(("cohort", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="a_flag_is_about_a_rater_or_a_cohort",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="gold",
            constraint=models.UniqueConstraint(
                fields=("study_prompt", "first_image", "second_image"), name="one_gold_per_prompt_and_pair"
            ),
        ),
        migrations.AddConstraint(
            model_name="gold",
            constraint=models.CheckConstraint(
                condition=models.Q(("first_contender", models.F("second_contender")), _negated=True),
                name="a_gold_compares_two_contenders",
            ),
        ),
        migrations.AddConstraint(
            model_name="gold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("reviewed_at__isnull", True), ("reviewer__isnull", True)),
                    models.Q(("reviewed_at__isnull", False), ("reviewer__isnull", False)),
                    _connector="OR",
                ),
                name="a_reviewed_gold_has_reviewer_and_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="ballotcheck",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("gold__isnull", False), ("repeats__isnull", True)),
                    models.Q(("gold__isnull", True), ("repeats__isnull", False)),
                    _connector="OR",
                ),
                name="a_check_is_gold_or_repeat",
            ),
        ),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
