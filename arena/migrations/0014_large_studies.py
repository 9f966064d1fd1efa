"""Indexes for pages over a million votes, and the mark of a study that a bundle is still being taken into."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("arena", "0013_boards"), ("generation", "0007_prompt_upload")]

    operations = [
        migrations.AddField(
            model_name="study",
            name="taking_in",
            field=models.CharField(
                blank=True,
                default="",
                editable=False,
                help_text="Which bundle is being taken in, and by whom: until it is there whole, nobody sees the study.",
                max_length=100,
            ),
        ),
        migrations.AddIndex(
            model_name="ballot",
            index=models.Index(condition=models.Q(("state", "superseded")), fields=["study"], name="undone_ballots"),
        ),
        migrations.AddIndex(
            model_name="vote",
            index=models.Index(fields=["study", "stratum", "choice"], name="votes_by_stratum_and_choice"),
        ),
    ]
