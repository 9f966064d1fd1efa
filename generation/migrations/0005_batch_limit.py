# One more index for claims, what workers can and do, and which batches fit.

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("generation", "0004_metrics"),
    ]

    operations = [
        migrations.CreateModel(
            name="BatchLimit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("width", models.PositiveIntegerField()),
                ("height", models.PositiveIntegerField()),
                ("device", models.CharField(max_length=100)),
                ("largest", models.PositiveIntegerField()),
                ("learned_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ["checkpoint", "width", "height", "device"],
            },
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="needs",
            field=models.CharField(
                blank=True,
                help_text="The least machine that may run it, as a queue such as gen.gpu24; empty: any image worker.",
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="workerheartbeat",
            name="fetchable",
            field=models.JSONField(
                default=list, help_text="Names of the checkpoints whose files it lacks and knows where to get."
            ),
        ),
        migrations.AddField(
            model_name="workerheartbeat",
            name="images_made",
            field=models.PositiveBigIntegerField(default=0, help_text="Since the process began."),
        ),
        migrations.AddField(
            model_name="workerheartbeat",
            name="job_ids",
            field=models.JSONField(default=list, help_text="Jobs in work now."),
        ),
        migrations.AlterField(
            model_name="imagejob",
            name="recipe",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="jobs",
                to="generation.recipe",
            ),
        ),
        migrations.RemoveIndex(model_name="imagejob", name="jobs_in_claim_order"),
        migrations.AddIndex(
            model_name="imagejob",
            index=models.Index(fields=["state", "lease_until"], name="jobs_by_state_and_lease"),
        ),
        migrations.AddIndex(
            model_name="imagejob",
            index=models.Index(
                models.F("recipe"),
                models.F("state"),
                models.OrderBy(models.F("priority"), descending=True),
                models.F("id"),
                name="jobs_of_recipe_in_order",
            ),
        ),
        migrations.AddField(
            model_name="batchlimit",
            name="checkpoint",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="batch_limits", to="generation.checkpoint"
            ),
        ),
        migrations.AddConstraint(
            model_name="batchlimit",
            constraint=models.UniqueConstraint(
                fields=("checkpoint", "width", "height", "device"),
                name="one_batch_limit_per_checkpoint_size_and_device",
            ),
        ),
        migrations.AddConstraint(
            model_name="batchlimit",
            constraint=models.CheckConstraint(
                condition=models.Q(("largest__gte", 1)), name="a_batch_holds_at_least_one_image"
            ),
        ),
    ]
