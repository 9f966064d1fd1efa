import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0012_minute_counts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Board",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(max_length=100, unique=True)),
                ("name", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True)),
                (
                    "criteria",
                    models.JSONField(
                        default=list, help_text="Questions, word for word: key, name, question, shows_prompt."
                    ),
                ),
                (
                    "reference",
                    models.CharField(
                        blank=True,
                        help_text="The contender that others are compared with; empty: the most shared one.",
                        max_length=64,
                    ),
                ),
                (
                    "is_public",
                    models.BooleanField(default=False, help_text="Whether anybody may read it without signing in."),
                ),
                (
                    "refit_asked_at",
                    models.DateTimeField(blank=True, help_text="When somebody would wait no longer.", null=True),
                ),
                ("published_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="boards",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("studies", models.ManyToManyField(related_name="boards", to="arena.study")),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="BoardFit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("criterion_key", models.SlugField()),
                ("number", models.PositiveIntegerField()),
                ("sources", models.JSONField(help_text="Which votes of which study: selection, digest, counts.")),
                (
                    "frame_digest",
                    models.CharField(help_text="Of the studies, their selections, and the method.", max_length=64),
                ),
                (
                    "state_digest",
                    models.CharField(help_text="Of the frame and how many votes each study had.", max_length=64),
                ),
                ("options", models.JSONField()),
                ("vote_count", models.PositiveIntegerField()),
                ("rater_count", models.PositiveIntegerField()),
                ("prompt_count", models.PositiveIntegerField()),
                ("code_version", models.CharField(max_length=50)),
                ("standing", models.JSONField(help_text="Strengths, ranks and shares of this fit, for the history.")),
                ("results", models.JSONField()),
                ("seconds", models.FloatField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "board",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="fits", to="arena.board"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("board", "criterion_key", "number"), name="board_fits_of_a_question_are_numbered"
                    )
                ],
            },
        ),
    ]
