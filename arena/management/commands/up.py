"""Runs everything Winrate needs on one machine, in one terminal."""

import contextlib
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from evalsite.box.errors import BoxError
from evalsite.box.life import Options, run_box
from evalsite.environment import port


class Command(BaseCommand):
    """`manage.py up`."""

    help = "Start Redis, the database, workers and the web server on this machine; Ctrl-C stops them all."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen and what to leave out."""
        parser.add_argument(
            "--port", type=port, default=settings.PORT, help="port of the web pages (default: PORT, or 8000)"
        )
        parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--no-demo", action="store_true", help="do not set up the demo study on first start")
        parser.add_argument("--no-worker", action="store_true", help="start no workers: they run elsewhere")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped; what is in the way comes out as one sentence."""
        asked = Options(
            bind=options["bind"],
            port=options["port"],
            with_demo=not options["no_demo"],
            with_worker=not options["no_worker"],
        )
        try:
            run_box(asked, say=self._say)
        except BoxError as error:
            raise CommandError(str(error)) from error

    def _say(self, sentence: str) -> None:
        with contextlib.suppress(OSError):  # a closed terminal is no reason to stop serving
            self.stdout.write(sentence)
            self.stdout.flush()
