"""`manage.py runs`: which runs there are and how far; pause, resume, cancel, reprioritise or retry one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena import run_control
from arena.refusals import Refusal
from generation.models import Run
from generation.run_plans import duration_in_words
from generation.run_status import RunStatus, status_of

MOST_RUNS = 20


class Command(BaseCommand):
    help = "List the latest runs; or show one and pause, resume, cancel, reprioritise or retry it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", nargs="?", type=int, help="number of a run, as in the list")
        acts = parser.add_mutually_exclusive_group()
        acts.add_argument("--pause", action="store_true", help="begin nothing new; batches in work are finished")
        acts.add_argument("--resume", action="store_true", help="go on")
        acts.add_argument("--cancel", action="store_true", help="end it for good; images that exist stay")
        acts.add_argument("--priority", type=int, metavar="N", help="runs with a higher number go first; usual is 0")
        acts.add_argument("--retry", action="store_true", help="give its failed images new attempts")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["run"] is None:
            if any(options[act] for act in ("pause", "resume", "cancel", "retry")) or options["priority"] is not None:
                raise CommandError("Say which run: its number stands in the list that `manage.py runs` prints.")
            self._list()
            return
        run = Run.objects.filter(pk=options["run"]).first()
        if run is None:
            raise CommandError(f"There is no run {options['run']}; `manage.py runs` lists them.")
        try:
            if sentence := _act(run, options):
                self.stdout.write(sentence)
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        run.refresh_from_db()
        self.stdout.write("\n".join(_lines(status_of(run))))

    def _list(self) -> None:
        runs = list(Run.objects.all()[:MOST_RUNS])
        if not runs:
            self.stdout.write("No run yet: generate_images or generate STUDY starts one.")
        for run in runs:
            self.stdout.write(_lines(status_of(run))[0])


def _act(run: Run, options: dict[str, Any]) -> str:
    if options["priority"] is not None:
        return run_control.set_priority(run, options["priority"], actor=None)
    acts = {
        "pause": run_control.pause,
        "resume": run_control.resume,
        "cancel": run_control.cancel,
        "retry": run_control.retry,
    }
    return next((act(run, actor=None) for name, act in acts.items() if options[name]), "")


def _lines(status: RunStatus) -> list[str]:
    run = status.run
    head = f"{run.pk}  {status.state}  {status.done:,} of {status.total:,} images  {run.name}"
    lines = [head]
    if status.left:
        left = "not known yet" if status.seconds_left is None else duration_in_words(status.seconds_left)
        lines.append(f"{status.images_a_second:.2g} images/s, time left {left}, priority {run.priority}")
    lines += [f"{failure.count:,} failed: {failure.reason}" for failure in status.failures]
    return lines + list(status.obstacles)
