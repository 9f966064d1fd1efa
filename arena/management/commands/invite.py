"""`manage.py invite STUDY`: links by which people become raters."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse
from django.utils import timezone

from arena import raters
from arena.invitations import as_csv, invite_many
from arena.models import Study


class Command(BaseCommand):
    help = "Make invitations and print the paths of their links. The links cannot be read again later."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="short name of the study, as in its address")
        parser.add_argument("--label", default="", help="whom it is for, for your own lists")
        parser.add_argument("--count", type=int, default=1, help="how many links; default 1")
        parser.add_argument("--uses", type=int, help="how many people may join by each; without it, any number")
        parser.add_argument(
            "--days", type=float, help="how many days they let people in; without it, until they are revoked"
        )
        parser.add_argument("--public", action="store_true", help="for posting anywhere: raters are anonymous")
        parser.add_argument("--csv", type=Path, metavar="FILE", help="write label and link here instead of printing")
        parser.add_argument("--site", default="", help="put before each path, like https://vote.example.org")

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Known: {known}.")
        file: Path | None = options["csv"]
        if file is not None and file.exists():
            raise CommandError(f"{file} exists already: choose another name, its links may still be needed.")
        if file is not None and not file.parent.is_dir():
            raise CommandError(f"There is no folder {file.parent}: make it first.")
        days = options["days"]
        try:
            links = invite_many(
                study=study,
                count=options["count"],
                label=options["label"],
                most_uses=options["uses"],
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
                is_public=options["public"],
            )
        except raters.InvitationError as refusal:
            raise CommandError(refusal.sentence) from refusal
        site = str(options["site"]).rstrip("/")

        def address_of(token: str) -> str:
            return site + reverse("arena:join", args=[token])

        if file is None:
            self.stdout.write("\n".join(address_of(link.token) for link in links))
        else:
            file.touch(mode=0o600)
            file.write_text(as_csv(links, address_of=address_of), encoding="utf-8", newline="")
            self.stdout.write(f"{len(links)} links in {file}.")
        if study.state == Study.State.DRAFT:
            self.stderr.write(f"The study {study.slug!r} has not opened yet: the link lets people in once it has.")
