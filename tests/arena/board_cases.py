"""Studies that share contenders and questions, ready to be put on a board."""

from collections.abc import Sequence

from arena import boards, studies
from arena.criteria import PRESETS
from arena.models import Board, Study
from generation.models import Recipe
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_prompts, make_recipe, make_user

STRENGTHS = {"a": 0.0, "b": 0.6, "c": 1.2, "d": -0.4, "e": 0.3, "f": 0.9, "g": -0.8, "h": 1.6}


def recipes_of(names: str) -> list[Recipe]:
    """Recipes by letter, made once each; the steps follow the letter."""
    return [
        Recipe.objects.filter(name=f"model {name}").first()
        or make_recipe(f"model {name}", steps=2 ** (1 + place), checkpoint=f"weights-{name}")
        for name in names
        for place in ["abcdefgh".index(name)]
    ]


def linked_study(
    slug: str, names: str, *, owner: str = "ada", votes: int = 60, seed: int = 1, with_text: int = 1
) -> Study:
    """An open study of these contenders; its first question has so many votes of each of four raters."""
    study = studies.create_study(
        slug=slug,
        name=slug.title(),
        owner=make_user(owner),
        prompts=make_prompts(4, with_text=with_text, name=slug),
        contenders=[
            studies.ContenderSpec(label=recipe.name, recipe=recipe, is_baseline=place == 0)
            for place, recipe in enumerate(recipes_of(names))
        ],
        criteria=PRESETS["sd3"],
        design={"samples": 1},
        rater_rules={"ballots_per_rater": 40, "instructions": False},
    )
    study = studies.open_study(study, actor=study.owner)
    if votes:
        add_votes(study, names, votes=votes, seed=seed)
    return study


def add_votes(study: Study, names: str, *, votes: int, seed: int, strengths: Sequence[float] | None = None) -> None:
    worth = [STRENGTHS[name] for name in names] if strengths is None else strengths
    bulk_votes(study, raters=4, ballots_per_rater=votes, strengths=worth, seed=seed)


def two_studies() -> tuple[Study, Study]:
    return linked_study("first", "abc", seed=1), linked_study("second", "bcde", seed=2)


def make_board(*members: Study, slug: str = "standing", criteria: Sequence[str] = ("prompt-following",)) -> Board:
    return boards.create_board(
        owner=make_user("ada"), name=slug.title(), slug=slug, studies=list(members), criteria=list(criteria)
    )
