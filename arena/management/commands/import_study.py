"""`manage.py import_study FILE.zip`: a study's bundle, seen once whole, and whether it fits to the same numbers."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.management.import_bar import import_bar
from arena.management.naming import user_named
from arena.refusals import Refusal


class Command(BaseCommand):
    help = "Take in a study's bundle as a closed study, fit it, and compare with the fits of the bundle."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="The zip that `export_study` wrote.")
        parser.add_argument(
            "--slug", default="", help="Short name here (default: that of the bundle, or the first free one after it)."
        )
        parser.add_argument("--owner", metavar="USER", help="Whose study it is (default: superusers' only).")
        parser.add_argument(
            "--accept-broken-chain",
            action="store_true",
            help="Take it in although its vote chains show that votes were changed; that is noted down.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON instead of sentences.")

    def handle(self, *args: Any, **options: Any) -> None:
        from arena.bundles.reading import import_study

        owner = user_named(options["owner"])
        try:
            with import_bar() as progress:
                done = import_study(
                    options["file"],
                    owner=owner,
                    slug=options["slug"],
                    accepts_broken_chain=options["accept_broken_chain"],
                    progress=progress,
                )
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        except KeyboardInterrupt as stop:
            sentence = "Stopped. Nobody sees what came in so far; import the same bundle again to go on."
            raise CommandError(sentence) from stop
        if options["json"]:
            fits = [
                {"criterion": each.criterion, "numbers": each.numbers, "largest_difference": each.largest}
                | ({"not_compared": each.reason} if each.reason else {})
                for each in done.comparisons
            ]
            told = {"study": done.study.slug, "votes": done.votes, "chain": done.chain.to_json(), "fits": fits}
            told["left_out"] = done.left
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(f"{done.votes:,} votes imported as the study {done.study.slug}, {done.study.name!r}.")
        self.stdout.write(chain_sentence(done.chain))
        if any(done.left.values()):
            left = " and ".join(f"{number:,} {what}" for what, number in done.left.items() if number)
            self.stdout.write(f"Left out, for their images are not in the bundle: {left}.")
        for each in done.comparisons:
            self.stdout.write(each.sentence)


def chain_sentence(chain: Any) -> str:
    """What is known about the votes before they came here."""
    if not chain.kept:
        return "The bundle is a public one: whether its votes are as they were cast cannot be checked."
    if chain.broken:
        return f"Its vote chains are BROKEN: {' '.join(chain.broken)}"
    roots = f" and {chain.roots} published roots" if chain.roots else ""
    return f"The chains of {chain.raters:,} raters{roots} are whole: the votes are as they were cast."
