from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0005_image_reports"),
    ]

    operations = [
        migrations.AlterField(
            model_name="fit",
            name="options",
            field=models.JSONField(help_text="Model, tie rule, side bias, clusters, covariance, level."),
        ),
    ]
