"""`manage.py invite STUDY`: a link by which people become raters."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse
from django.utils import timezone

from arena import raters
from arena.models import Study


class Command(BaseCommand):
    help = "Make an invitation and print the path of its link. The link cannot be read again later."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="short name of the study, as in its address")
        parser.add_argument("--label", default="", help="whom it is for, for your own lists")
        parser.add_argument("--uses", type=int, help="how many people may join by it; without it, any number")
        parser.add_argument(
            "--days", type=float, help="how many days it lets people in; without it, until it is revoked"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known: {known}.")
        days = options["days"]
        try:
            _, token = raters.invite(
                study=study,
                label=options["label"],
                most_uses=options["uses"],
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
            )
        except raters.InvitationError as refusal:
            raise CommandError(refusal.sentence) from refusal
        self.stdout.write(reverse("arena:join", args=[token]))
        if study.state == Study.State.DRAFT:
            self.stderr.write(f"The study {study.slug!r} has not opened yet: the link lets people in once it has.")
