"""`manage.py restore FOLDER`: a backup into an empty database and this site's image store."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.backups.layout import BackupError
from arena.backups.restoring import restore


class Command(BaseCommand):
    help = "Fill an empty database and the image store from a folder that `backup` wrote; every hash is checked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="The folder that `backup` wrote.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = restore(options["folder"].expanduser().absolute())
        except BackupError as error:
            raise CommandError(error.sentence) from error
        taken_at = done.manifest.taken_at.replace("T", " ")
        self.stdout.write(f"Restored as of {taken_at}: {done.rows['arena.Vote']:,} votes, {done.images:,} images.")
        if done.has_key:
            self.stdout.write("The secret key came with it: raters go on with the links and cookies that they have.")
        if done.needs_migration:
            self.stdout.write(
                "The backup is of an older version: run `python manage.py migrate` before the site starts."
            )
        if short := [label for label, rows in done.manifest.rows.items() if done.rows[label] < rows]:
            raise CommandError(f"Fewer rows than were there when the backup began: {', '.join(short)}.")
        if done.missing:
            raise CommandError(
                f"{len(done.missing):,} files that rows name are not in the backup, {done.missing[0]} among them: "
                "run `python manage.py sweep_images --remake`."
            )
