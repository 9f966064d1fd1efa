"""`manage.py study create/summary/open/close/status/export/add-contender`: a study's life from a terminal."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from arena import newcomers, studies
from arena.contender_wishes import wishes_of
from arena.design_files import MOST_BYTES, PlannedStudy, design_file_of, planned_study, read_design
from arena.design_summary import Summary, summary_of
from arena.drafting import save_draft
from arena.management.naming import user_named
from arena.models import Study
from arena.preregistration import plan_data, plan_text
from arena.refusals import Refusal
from arena.targets import over_all_criteria, progress_of
from generation.errors import GenerationError
from generation.run_plans import duration_in_words
from generation.sweeps import stored

Answer = tuple[dict[str, Any], list[str]]
FORMAT_VERSION = 1


class Command(BaseCommand):
    help = "Make a study from a design file, open and close it, and say how it stands."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        create = self._act(acts, "create", "make a draft from a design file", file=True)
        create.add_argument("--owner", default="", help="user name of the owner; without it, the site's")
        create.add_argument("--slug", default="", help="another short name than the file's")
        create.add_argument("--open", action="store_true", help="open it at once and ask for its images")
        summary = self._act(acts, "summary", "say what a design comes to; stores nothing", file=True)
        summary.add_argument("--owner", default="", help="user name, where only that person's prompts may be used")
        opening = self._act(acts, "open", "freeze a draft and let raters in")
        opening.add_argument("--images", action="store_true", help="ask for its images too")
        self._act(acts, "pause", "hand out no ballots for now")
        self._act(acts, "resume", "go on after a pause")
        self._act(acts, "close", "end voting for good")
        self._act(acts, "status", "say how a study stands")
        export = self._act(acts, "export", "write the design file, or the plan")
        export.add_argument("--plan", action="store_true", help="the plan with its digest instead; text without --json")
        joining = self._act(acts, "add-contender", "let a contender join an open study")
        joining.add_argument("contender", type=Path, help="a JSON file with one contender as in a design file")
        joining.add_argument("--reason", required=True, help="why it joins; kept in the record")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        acts: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "create": self._create,
            "summary": self._summary,
            "open": self._open,
            "export": self._export,
            "add-contender": self._add_contender,
            "status": lambda said: _status(_study(said["study"])),
            **{name: self._steer(name) for name in ("pause", "resume", "close")},
        }
        try:
            data, lines = acts[act](options)
        except (Refusal, GenerationError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"Nothing was changed: {error}. If the database is new, run `python manage.py migrate` first."
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps({"version": FORMAT_VERSION, **data}, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(lines))

    def _act(self, acts: Any, name: str, words: str, *, file: bool = False) -> ArgumentParser:
        parser: ArgumentParser = acts.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        if file:
            parser.add_argument("file", type=Path, help="the design as JSON")
        else:
            parser.add_argument("study", help="short name of the study, as in its address")
        parser.add_argument("--json", action="store_true", help="print JSON instead of sentences")
        return parser

    def _create(self, options: dict[str, Any]) -> Answer:
        owner = user_named(options["owner"])
        study = save_draft(_planned(options, owner), owner=owner)
        if options["open"]:
            study = studies.open_study(study, actor=owner)
            _ask_for_images(study)
        return _status(study)

    def _summary(self, options: dict[str, Any]) -> Answer:
        found = summary_of(_planned(options, user_named(options["owner"])))
        return found.to_json(), _summary_lines(found)

    def _open(self, options: dict[str, Any]) -> Answer:
        study = studies.open_study(_study(options["study"]), actor=None)
        if options["images"]:
            _ask_for_images(study)
        return _status(study)

    def _steer(self, name: str) -> Callable[[dict[str, Any]], Answer]:
        acts = {"pause": studies.pause_study, "resume": studies.resume_study, "close": studies.close_study}
        return lambda options: _status(acts[name](_study(options["study"]), actor=None))

    def _export(self, options: dict[str, Any]) -> Answer:
        study = _study(options["study"])
        if options["plan"]:
            return plan_data(study), [plan_text(study).rstrip("\n")]
        design = design_file_of(study)
        return design, [json.dumps(design, ensure_ascii=False, indent=1)]

    def _add_contender(self, options: dict[str, Any]) -> Answer:
        study = _study(options["study"])
        wishes = wishes_of({"contenders": [_read(options["contender"])]}, owner=None)
        joined = newcomers.add_contender(
            study, recipe=stored(wishes[0].recipe), label=wishes[0].label, reason=options["reason"], actor=None
        )
        data, lines = _status(study)
        return data | {"joined": joined.label}, [f"{joined.label} joined {study.name}.", *lines]


def _planned(options: dict[str, Any], owner: User | None) -> PlannedStudy:
    said = _read(options["file"])
    if options.get("slug"):
        said["slug"] = options["slug"]
    return planned_study(said, owner=owner)


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise CommandError(f"{file} is larger than {MOST_BYTES // 2**20} MB: this is no design.")
        return read_design(file.read_bytes())
    except FileNotFoundError as error:
        raise CommandError(f"{file} does not exist; name a design file.") from error
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}.") from error
    except Refusal as refusal:
        raise CommandError(f"{file.name}: {refusal.sentence}") from refusal


def _ask_for_images(study: Study) -> None:
    if study.contenders.exclude(recipe__kind="external").exists():
        studies.ask_for_images(study)


def _study(slug: str) -> Study:
    found = Study.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Study.objects.values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no study {slug!r}. Known: {known}.")
    return found


def _status(study: Study) -> Answer:
    study.refresh_from_db()
    images, target = studies.readiness(study), over_all_criteria(progress_of(study))
    votes = study.votes.count()
    data = {
        "study": study.slug,
        "name": study.name,
        "state": study.state,
        "digest": study.frozen_digest or None,
        "contenders": study.contenders.count(),
        "prompts": study.study_prompts.count(),
        "images": {"wanted": images.wanted, "made": images.made, "ready": images.showable},
        "votes": votes,
        "votes_still_needed": target.still_needed if target else None,
        "amendments": study.amendments.count(),
    }
    lines = [
        f"{study.name} ({study.slug}) is {study.state}.",
        f"{data['contenders']} contenders, {data['prompts']:,} prompts.",
        f"{images.made:,} of {images.wanted:,} images made, {images.showable:,} ready for raters.",
        f"{votes:,} votes" + (f", {target.still_needed:,} still needed." if target else "."),
    ]
    return data, lines + ([f"Frozen as {study.frozen_digest}."] if study.frozen_digest else [])


def _summary_lines(found: Summary) -> list[str]:
    lines = [
        f"{len(found.contenders)} contenders, {found.pairs:,} pairs, {found.prompts:,} prompts.",
        f"{found.images.wanted:,} images, {found.images.missing:,} to make: {found.images.in_words}.",
        f"{found.ballots:,} ballots, about {duration_in_words(found.rater_hours * 3600)} of raters' time.",
    ]
    for one in found.power:
        seen = f"a win probability of {one.percent} % is told from 50 %" if one.win_probability else one.why
        lines.append(f"{one.question.name}: {one.question.votes:,.0f} votes, {seen}.")
    return lines + [f"In the way: {sentence}" for sentence in found.why]
