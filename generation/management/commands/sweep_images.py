"""`sweep_images`: files that no row mentions, and rows whose file is missing or damaged."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from generation import lost_files, orphans
from generation.errors import GenerationError

LONGEST_LIST = 50


class Command(BaseCommand):
    """Nothing is changed without --delete or --remake."""

    help = "List files in the image store that no row mentions (--delete removes them), or --verify all that rows do."

    def add_arguments(self, parser: CommandParser) -> None:
        """What to look for and what to do about it."""
        parser.add_argument("--delete", action="store_true", help="delete the files that no row mentions")
        parser.add_argument(
            "--older-than", type=float, default=24.0, metavar="HOURS", help="only files of that age (default 24)"
        )
        parser.add_argument("--verify", action="store_true", help="read every file that a row names and check its hash")
        parser.add_argument("--remake", action="store_true", help="make again what --verify finds missing or damaged")

    def handle(self, *args: Any, **options: Any) -> None:
        """Sweep, or verify."""
        if options["verify"] or options["remake"]:
            self._verify(is_remade=options["remake"])
            return
        if not 0 <= options["older_than"] < 1e6:
            raise CommandError("--older-than takes hours, 0 or more.")
        self._sweep(timedelta(hours=options["older_than"]), is_deleted=options["delete"])

    def _sweep(self, age: timedelta, *, is_deleted: bool) -> None:
        found = orphans.look(older_than=age)
        for orphan in found.orphans[:LONGEST_LIST]:
            hours = orphan.age.total_seconds() / 3600
            self.stdout.write(f"{orphan.name}  {orphan.size_bytes:,} bytes, {hours:.0f} h old")
        if len(found.orphans) > LONGEST_LIST:
            self.stdout.write(f"... and {len(found.orphans) - LONGEST_LIST} more")
        size = sum(orphan.size_bytes for orphan in found.orphans)
        self.stdout.write(f"{len(found.orphans)} of {found.files} files belong to no row ({size:,} bytes).")
        if found.foreign:
            self.stdout.write(f"{found.foreign} files have names that are not Winrate's; they are left alone.")
        if is_deleted:
            try:
                self.stdout.write(f"{orphans.delete(found.orphans, older_than=age)} deleted.")
            except GenerationError as error:
                raise CommandError(f"{error} Give --older-than 1 or more.") from error
        elif found.orphans:
            self.stdout.write("Nothing was deleted; --delete does it.")

    def _verify(self, *, is_remade: bool) -> None:
        count = 0
        for lost in lost_files.find_lost():
            count += 1
            self.stdout.write(str(lost))
            if is_remade:
                self.stdout.write(f"  {lost.owner.remake(lost.sha256)}")
        if count and not is_remade:
            raise CommandError(f"{count} files are missing or damaged; --remake makes them again.")
        self.stdout.write(f"{count} files were missing or damaged." if count else "All files are there and whole.")
