"""`manage.py generate STUDY`: make a study's missing images here, with a bar, and ready for raters as they come."""

from contextlib import closing
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from arena import studies, supply
from arena.intake import take_in_images
from arena.models import Study
from generation import foreground, planning
from generation.errors import GenerationError
from generation.models import ImageJob, Run
from generation.planning import RunProgress

INTERRUPTED = 130
BAR = "{l_bar}{bar}| {n_fmt} of {total_fmt} images, {elapsed} gone, {remaining} left"


class Command(BaseCommand):
    help = "Make the images of a study. Those that exist are not made again; give the same command to go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="short name of the study, as in its address")

    def handle(self, *args: Any, **options: Any) -> None:
        study = _study(options["study"])
        try:
            run = studies.ask_for_images(study)
            progress = self._make(study, run)
        except GenerationError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as interrupt:
            raise CommandError(
                "Stopped. Everything finished is kept; give the same command to go on.", returncode=INTERRUPTED
            ) from interrupt
        while take_in_images(study=study):
            pass
        if progress.failed:
            raise CommandError(_failures(run, progress))
        ready = studies.readiness(study)
        self.stdout.write(f"{ready.made} of {ready.wanted} images are there, {ready.showable} ready for raters.")

    def _make(self, study: Study, run: Run) -> RunProgress:
        start = planning.progress_of(run)
        with closing(
            tqdm(total=start.total, initial=start.done, desc=study.name, file=self.stderr, bar_format=BAR)
        ) as bar:

            def watch(progress: RunProgress) -> None:
                bar.total = progress.total
                bar.update(progress.done - bar.n)
                take_in_images(study=study)

            return foreground.make(run, watch=watch)


def _study(slug: str) -> Study:
    study = Study.objects.filter(slug=slug).first()
    if study is None:
        known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no study {slug!r}. Known: {known}.")
    if study.state != Study.State.DRAFT and not supply.asked_prompts(study).exists():
        raise CommandError(f"The study {slug!r} asks nothing: none of its criteria applies to its prompts.")
    return study


def _failures(run: Run, progress: RunProgress) -> str:
    first = ImageJob.objects.filter(runs=run, state=ImageJob.State.FAILED).exclude(reason="").first()
    why = f" The first: {first.reason}" if first else ""
    return f"{progress.failed} of {progress.total} images failed.{why} Give the same command to try them again."
