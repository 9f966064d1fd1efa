"""`manage.py import_losses FILE`: validation losses of checkpoints, whole or not at all."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from generation.loss_imports import LossFileError, import_losses


class Command(BaseCommand):
    help = "Take validation losses from a CSV file: checkpoint,loss and, where wanted, step and family."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = import_losses(options["file"])
        except LossFileError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{found.changed} checkpoints have a new loss, {found.unchanged} had it already.")
