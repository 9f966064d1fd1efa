"""`manage.py measure`: automatic metrics of a study's or a recipe's images, here with a bar or by image workers."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet
from tqdm import tqdm

from arena import measuring
from arena.models import Study
from arena.supply import asked_prompts, images_of, live_contenders
from generation.errors import GenerationError
from generation.measuring import checker, clip, orders, sets
from generation.measuring.rows import Measured
from generation.models import Image, Recipe

INTERRUPTED: Final = 130
NAMES: Final = (checker.OVERALL, clip.SCORE, *sets.NAMES)
BAR: Final = "{l_bar}{bar}| {n_fmt} of {total_fmt} images, {elapsed} gone, {remaining} left"


@dataclass(frozen=True)
class Scope:
    """Whose images are measured. `prompt_digests` are a study's; None for all images of the recipes."""

    images: QuerySet[Image]
    recipes: Sequence[Recipe]
    texts: Sequence[str]
    prompt_digests: Sequence[str] | None
    prompts_digest: str


class Command(BaseCommand):
    help = "Measure automatic metrics. What is measured is not measured again; give the same command to go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", nargs="?", help="short name of a study, as in its address")
        parser.add_argument("--recipe", action="append", default=[], help="name, or first digits of the digest")
        parser.add_argument("--metric", required=True, help=f"one of {', '.join(NAMES)}, or several with commas")
        parser.add_argument(
            "--clip", metavar="FOLDER|REPOSITORY@COMMIT", help="a CLIP below the models root, or on the hub"
        )
        parser.add_argument(
            "--reference",
            metavar="FOLDER|RECIPE",
            help="what clip_fd, clip_precision, clip_recall and cmmd compare with",
        )
        parser.add_argument(
            "--workers", action="store_true", help="leave clip_score to image workers, of later images too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._measure(options)
        except GenerationError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as interrupt:
            raise CommandError(
                "Stopped. Everything measured is kept; give the same command to go on.", returncode=INTERRUPTED
            ) from interrupt

    def _measure(self, options: dict[str, Any]) -> None:
        names = [name.strip() for name in options["metric"].split(",")]
        if unknown := [name for name in names if name not in NAMES]:
            raise GenerationError(f"There is no metric {unknown[0]!r}; choose among {', '.join(NAMES)}.")
        weights = _weights(names, options["clip"])
        scope = _scope(options["study"], options["recipe"])
        if options["workers"]:
            if names != [clip.SCORE] or weights is None:
                raise GenerationError(f"--workers is for --metric {clip.SCORE} alone; measure the others here.")
            order = orders.order_scores(scope.recipes, weights=weights)
            self.stdout.write(f"Ordered. {orders.progress_of(order).left} images lack it; image workers measure them.")
            return
        if checker.OVERALL in names:
            self._measure_with_checker(scope)
        if weights is not None:
            loaded = clip.load(weights)
            if clip.SCORE in names:
                with self._bar(clip.SCORE) as bar:
                    self._tell(clip.SCORE, clip.measure_scores(scope.images, loaded, watch=_follower(bar)))
            if chosen := tuple(name for name in names if name in sets.NAMES):
                self._measure_sets(scope, loaded, chosen, options["reference"])

    def _measure_with_checker(self, scope: Scope) -> None:
        if not checker.readable(scope.texts):
            raise GenerationError("The picture checker reads only captions of the demo's world; here there are none.")
        with self._bar(checker.OVERALL) as bar:
            found = checker.measure(scope.images, texts=scope.texts, watch=_follower(bar))
        self._tell(checker.OVERALL, found)

    def _measure_sets(
        self, scope: Scope, loaded: clip.LoadedClip, names: tuple[str, ...], reference: str | None
    ) -> None:
        if reference is None:
            raise GenerationError(f"{names[0]} needs --reference: a folder of images, or a recipe.")
        source = _reference(reference, scope)
        plan = sets.SetMeasuring(names, loaded, source)
        for recipe in scope.recipes:
            pictures = sets.set_of_recipe(recipe, prompt_digests=scope.prompt_digests)
            if pictures.label == source.label:
                self.stdout.write(f"{recipe.name}: the reference itself")
                continue
            with self._bar(recipe.name) as bar:
                watch = _follower(bar)
                is_new = sets.measure_recipe(recipe, pictures, plan, prompts_digest=scope.prompts_digest, watch=watch)
            self.stdout.write(
                f"{recipe.name}: {'measured' if is_new else 'there already'}, {len(pictures.digests)} images"
            )

    def _bar(self, title: str) -> "closing[tqdm[Any]]":
        return closing(tqdm(desc=title[:40], file=sys.stderr, bar_format=BAR, total=0))

    def _tell(self, name: str, found: Measured) -> None:
        self.stdout.write(f"{name}: {found.done} of {found.wanted} images.")
        if found.problems:
            raise GenerationError(f"{len(found.problems)} images could not be measured. The first: {found.problems[0]}")


def _follower(bar: "tqdm[Any]") -> Any:
    def follow(progress: Measured) -> None:
        if bar.total != progress.wanted or progress.done < bar.n:
            bar.reset(total=progress.wanted)
        bar.update(progress.done - bar.n)

    return follow


def _weights(names: Sequence[str], text: str | None) -> clip.Weights | None:
    needing = [name for name in names if name != checker.OVERALL]
    if not needing:
        return None
    if not text:
        raise GenerationError(f"{needing[0]} needs --clip: a folder below the models root, or repository@commit.")
    return clip.Weights.told(text)


def _scope(slug: str | None, recipes: Sequence[str]) -> Scope:
    if (slug is None) == (not recipes):
        raise GenerationError("Give the short name of a study, or --recipe, and not both.")
    if slug is None:
        found = [_recipe(name) for name in recipes]
        images = Image.objects.filter(recipe__in=found)
        texts = list(images.order_by("prompt_text").values_list("prompt_text", flat=True).distinct())
        return Scope(images, found, texts, None, "")
    study = Study.objects.filter(slug=slug).first()
    if study is None:
        known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
        raise GenerationError(f"There is no study {slug!r}. Known: {known}.")
    contenders = live_contenders(study).select_related("recipe").order_by("position")
    digests = list(asked_prompts(study).values_list("prompt__text_digest", flat=True))
    return Scope(
        images_of(study),
        [contender.recipe for contender in contenders],
        measuring.texts_of(study),
        digests,
        measuring.prompts_digest_of(study),
    )


def _recipe(name: str) -> Recipe:
    found = list(Recipe.objects.filter(name=name)[:2]) or list(Recipe.objects.filter(digest__startswith=name)[:2])
    if not found:
        raise GenerationError(f"There is no recipe {name!r}; give its name, or the first digits of its digest.")
    if len(found) > 1:
        digests = " and ".join(recipe.digest[:12] for recipe in found)
        raise GenerationError(f"Several recipes are called {name!r}; give the digest instead, such as {digests}.")
    return found[0]


def _reference(text: str, scope: Scope) -> sets.ImageSet:
    if Path(text).is_dir():
        return sets.set_of_folder(Path(text))
    try:
        recipe = _recipe(text)
    except GenerationError as error:
        raise GenerationError(f"--reference {text!r} is neither a folder nor a recipe. {error}") from error
    pictures = sets.set_of_recipe(recipe, prompt_digests=scope.prompt_digests)
    if not pictures.digests:
        raise GenerationError(
            f"The reference {recipe.name!r} has no images{' of these prompts' if scope.prompts_digest else ''}."
        )
    return pictures
