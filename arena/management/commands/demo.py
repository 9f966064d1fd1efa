"""`manage.py demo`: the demo study with its images, simulated votes and fits, without serving anything."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from arena import demo, fitting


class Command(BaseCommand):
    help = "Build the demo study: images, simulated raters' ballots, fits. Asked again, it goes on where it stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        made = demo.prepare_demo()
        call_command("generate", made.study.slug, stdout=self.stdout, stderr=self.stderr)
        call_command(
            "simulate_raters",
            made.study.slug,
            raters=demo.SIMULATED_RATERS,
            votes=demo.BALLOTS_PER_RATER,
            stdout=self.stdout,
            stderr=self.stderr,
        )
        fits = fitting.refit(made.study)
        self.stdout.write(
            f"{len(fits)} fits. `python manage.py up` serves the study; `fit {made.study.slug}` prints it."
        )
