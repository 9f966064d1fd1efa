"""`manage.py demo`: the demo study with its images, simulated votes and fits, without serving anything."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from arena import demo, fitting, study_templates
from arena.refusals import Refusal
from generation.errors import GenerationError


class Command(BaseCommand):
    help = "Build the demo study: images, simulated raters' ballots, fits. Asked again, it goes on where it stopped."
    requires_migrations_checks = False  # it makes the tables itself

    def handle(self, *args: Any, **options: Any) -> None:
        streams = {"stdout": self.stdout, "stderr": self.stderr}
        call_command("migrate", interactive=False, verbosity=0)
        try:
            study = demo.prepare_demo().study
        except (GenerationError, Refusal) as error:
            raise CommandError(str(error)) from error
        call_command("generate", study.slug, **streams)
        raters, votes = demo.SIMULATED_RATERS, study_templates.BALLOTS_PER_RATER
        call_command("simulate_raters", study.slug, raters=raters, votes=votes, **streams)
        fits = fitting.refit(study)
        self.stdout.write(f"{len(fits)} fits. `python manage.py up` serves the study; `fit {study.slug}` prints it.")
