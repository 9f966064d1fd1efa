"""`manage.py withdraw_contender STUDY CONTENDER --reason WHY`: a contender that raters are not shown any more."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.models import Study
from arena.withdrawing import WithdrawalError, bring_back_contender, withdraw_contender


class Command(BaseCommand):
    help = "Withdraw a contender from an opened study, or bring it back. Its votes stay and count."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="short name of the study, as in its address")
        parser.add_argument("contender", help="its label, as on the study's page")
        parser.add_argument("--reason", required=True, help="why; kept in the study's log")
        parser.add_argument("--back", action="store_true", help="bring a withdrawn contender back")

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known: {known}.")
        contender = study.contenders.filter(label=options["contender"]).first()
        if contender is None:
            labels = ", ".join(repr(label) for label in study.contenders.values_list("label", flat=True))
            raise CommandError(f"{study.slug!r} has no contender {options['contender']!r}. It has {labels}.")
        try:
            act = bring_back_contender if options["back"] else withdraw_contender
            act(contender=contender, reason=options["reason"], author=None)
        except WithdrawalError as refusal:
            raise CommandError(refusal.sentence) from refusal
        self.stdout.write(f"{contender} is {'back in the study' if options['back'] else 'withdrawn'}.")
