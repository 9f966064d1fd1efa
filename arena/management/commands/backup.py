"""`manage.py backup FOLDER`: database and images, consistent, while the site runs."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.backups.layout import BackupError
from arena.backups.taking import take


class Command(BaseCommand):
    help = "Copy the database and all images to a folder while people vote; a folder used before keeps its images."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="An empty or new folder, or one that holds an earlier backup.")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["folder"].expanduser().absolute()
        try:
            taken = take(folder)
        except BackupError as error:
            raise CommandError(error.sentence) from error
        manifest = taken.manifest
        self.stdout.write(
            f"Backup in {folder}: {manifest.dump} with at least {manifest.rows['arena.Vote']:,} votes; "
            f"{manifest.images:,} images ({manifest.image_bytes / 1e6:,.1f} MB), {taken.copied:,} of them new."
        )
        for name in taken.damaged:
            self.stderr.write(f"Not copied, because it is damaged in the image store: {name}")
        if taken.damaged:
            raise CommandError("The backup is complete but for these files; `sweep_images --remake` makes them again.")
