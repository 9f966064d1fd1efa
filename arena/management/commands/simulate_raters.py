"""Let simulated raters vote in a study."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from arena.models import Study
from arena.refusals import Refusal
from arena.simulated_raters import simulate


class Command(BaseCommand):
    help = (
        "Let simulated raters answer ballots of an open study. They look at the pixels of both images and at the"
        " caption, and at nothing else; their votes are a stratum of their own. Asked again, they go on where they"
        " stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="the study's short name (slug)")
        parser.add_argument("--raters", type=int, default=20, help="how many simulated raters")
        parser.add_argument("--votes", type=int, default=40, help="ballots each of them answers, at most")

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            raise CommandError(f"There is no study {options['study']!r}.")
        if options["raters"] < 1 or options["votes"] < 1:
            raise CommandError("--raters and --votes must be at least 1.")
        answered = 0
        try:
            with tqdm(unit="ballot", file=self.stderr) as bar:
                for progress in simulate(study, raters=options["raters"], ballots=options["votes"]):
                    bar.total = progress.wanted
                    bar.update(progress.answered - bar.n)
                    answered = progress.answered
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        except KeyboardInterrupt:
            raise CommandError(f"Stopped after {answered} ballots. The same command goes on from here.") from None
        self.stdout.write(f"{answered} ballots answered by simulated raters in {study.name!r}.")
        if answered < progress.wanted:
            self.stdout.write(
                f"{progress.wanted - answered} more were asked for, but no pair was left to show: images are still"
                " to be made, or every rater has reached the study's limit."
            )
