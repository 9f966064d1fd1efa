"""Simulated raters look at pixels and captions: names change nothing, pictures change everything."""

import inspect
import io

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image as Pictures

from arena import display, fitting, simulated_raters, studies
from arena.criteria import PRESETS
from arena.models import Ballot, Contender, Rater, Study, Vote
from arena.refusals import Refusal
from arena.simulated_raters import KNOWN_CRITERIA, answers_to, decide, draw_traits, simulate
from generation.models import Checkpoint, ImageJob, Prompt, PromptSet, Recipe, Run, RunItem
from generation.provenance import text_digest
from generation.scenes import caption_of, demo_scenes, draw, parse_caption
from tests.arena.factories import make_image, make_recipe, make_study

STEPS = (1, 2, 4, 8)
CAPTION = "a red circle on the left on a blue background"


def spoiled(picture: np.ndarray, *, steps: int, seed: int) -> np.ndarray:
    """A picture the way few steps leave it: washed out and noisy, less so with every doubling."""
    rng = np.random.default_rng(seed)
    amount = 0.6 / steps
    mixed = (1 - amount) * picture + amount * 128 + rng.normal(0, 60 * amount, picture.shape)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Pictures.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def scene_study(*, slug: str, shuffled: bool) -> Study:
    """Four step counts on twelve scenes; shuffled: the same pictures, dealt to the contenders at random."""
    prompt_set = PromptSet.objects.create(name=slug, digest=slug)
    scenes = demo_scenes(12)
    prompts = Prompt.objects.bulk_create(
        Prompt(
            prompt_set=prompt_set,
            position=position,
            text=caption_of(scene),
            text_digest=text_digest(caption_of(scene)),
            target_text=scene.sign.text if scene.sign else None,
        )
        for position, scene in enumerate(scenes)
    )
    recipes = [make_recipe(f"{slug} {steps}", steps=steps) for steps in STEPS]
    rng = np.random.default_rng(4)
    for number, scene in enumerate(scenes):
        levels = [int(steps) for steps in (rng.permutation(STEPS) if shuffled else STEPS)]
        for recipe, steps in zip(recipes, levels, strict=True):
            data = png(spoiled(draw(scene), steps=steps, seed=10 * number + steps))
            make_image(recipe=recipe, prompt_text=caption_of(scene), data=data)
    study = studies.create_study(
        slug=slug,
        name=slug,
        owner=None,
        prompts=prompts,
        contenders=[
            studies.ContenderSpec(label=f"{steps} steps", recipe=recipe, is_baseline=steps == max(STEPS))
            for recipe, steps in zip(recipes, STEPS, strict=True)
        ],
        criteria=PRESETS["sd3"],
    )
    study = studies.open_study(study, actor=None)
    while display.prepare_copies(study=study):
        pass
    return study


def strengths(study: Study, key: str) -> list[float]:
    fits = {fit.criterion.key: fit for fit in fitting.refit(study)}
    return [entry["log_strength"] for entry in fits[key].results["contenders"]]


def test_the_deciding_function_is_given_pixels_caption_and_rater_and_nothing_else() -> None:
    assert list(inspect.signature(decide).parameters) == ["left", "right", "caption", "rater"]


def test_the_same_look_is_judged_the_same_way_every_time() -> None:
    left, right = draw(parse_caption(CAPTION)), draw(parse_caption(CAPTION), rng=np.random.default_rng(1))
    rater = draw_traits(5)
    assert decide(left, right, CAPTION, rater) == decide(left.copy(), right.copy(), CAPTION, rater)


@pytest.mark.parametrize(
    ("criterion", "worse"),
    [
        ("prompt-following", draw(parse_caption("a green star on the right on a blue background"))),
        ("aesthetics", spoiled(draw(parse_caption(CAPTION)), steps=1, seed=0)),
    ],
)
def test_the_picture_that_is_better_in_a_criterion_wins_it_from_either_side(criterion: str, worse: np.ndarray) -> None:
    better = draw(parse_caption(CAPTION))
    people = [draw_traits(seed) for seed in range(60)]
    on_the_left = [decide(better, worse, CAPTION, rater)[criterion].choice for rater in people]
    on_the_right = [decide(worse, better, CAPTION, rater)[criterion].choice for rater in people]
    assert on_the_left.count("left") >= 50
    assert on_the_right.count("right") >= 50


@pytest.mark.parametrize(
    ("caption", "drawn"),
    [
        ("three red hearts on a blue background", "four red hearts on a blue background"),
        ("three red hearts on a blue background", "three red rings on a blue background"),
        (
            "a red star left of a green cross on a white background",
            "a red star right of a green cross on a white background",
        ),
        ('a red sign that says "CAT" on a blue background', 'a red sign that says "DOG" on a blue background'),
        ('a red sign that says "CAT" on a blue background', 'a pink sign that says "CAT" on a blue background'),
    ],
    ids=["count", "shape", "relation", "word", "colour"],
)
def test_the_picture_that_follows_the_prompt_wins_whatever_the_difference_is(caption: str, drawn: str) -> None:
    better, worse = draw(parse_caption(caption)), draw(parse_caption(drawn))
    choices = [decide(better, worse, caption, draw_traits(seed))["prompt-following"].leaning for seed in range(60)]
    assert choices.count("left") >= 45


def test_the_sign_that_is_spelled_right_wins_typography() -> None:
    caption = 'a white sign that says "CAT" on a blue background'
    right = draw(parse_caption(caption))
    wrong = draw(parse_caption('a white sign that says "DOG" on a blue background'))
    choices = [decide(right, wrong, caption, draw_traits(seed))["typography"].choice for seed in range(60)]
    assert choices.count("left") >= 50


def test_equal_pictures_are_often_a_tie_and_never_favour_a_side() -> None:
    picture = draw(parse_caption(CAPTION))
    judgements = [decide(picture, picture, CAPTION, draw_traits(seed))["aesthetics"] for seed in range(400)]
    assert sum(j.choice == "tie" for j in judgements) > 100
    assert 150 < sum(j.leaning == "left" for j in judgements) < 290


@pytest.mark.once
@pytest.mark.django_db
def test_more_steps_win_because_the_pictures_are_better_and_shuffling_the_pictures_makes_the_curve_flat() -> None:
    honest, shuffled = scene_study(slug="honest", shuffled=False), scene_study(slug="shuffled", shuffled=True)
    for study in (honest, shuffled):
        for _ in simulate(study, raters=5, ballots=24):
            pass
    slope = np.polyfit(np.log2(STEPS), strengths(honest, "aesthetics"), 1)[0]
    flat = np.polyfit(np.log2(STEPS), strengths(shuffled, "aesthetics"), 1)[0]
    assert slope > 0.5
    assert abs(flat) < 0.6 * slope


@pytest.mark.once
@pytest.mark.django_db
def test_renaming_everything_that_has_a_name_changes_no_answer() -> None:
    study = scene_study(slug="named", shuffled=False)
    for _ in simulate(study, raters=3, ballots=12):
        pass
    ballots = list(Ballot.objects.filter(study=study))
    before = [answers_to(ballot) for ballot in ballots]
    for number, contender in enumerate(Contender.objects.filter(study=study).order_by("-pk")):
        Contender.objects.filter(pk=contender.pk).update(label=f"renamed {number}")
        Recipe.objects.filter(pk=contender.recipe_id).update(name=f"recipe {number}")
    Checkpoint.objects.update(name="other-name")
    Study.objects.filter(pk=study.pk).update(name="another", slug="another")
    after = [answers_to(ballot) for ballot in Ballot.objects.filter(study=study)]
    assert before == after
    stored = {(v.ballot_id, v.criterion.key): v.choice for v in Vote.objects.select_related("criterion")}
    assert stored == {
        (b.pk, key): choice for b, said in zip(ballots, before, strict=True) for key, choice in said.items()
    }


@pytest.mark.django_db
def test_simulated_raters_are_a_stratum_of_their_own_and_go_on_where_they_stopped() -> None:
    study = scene_study(slug="strata", shuffled=False)
    assert [p.answered for p in simulate(study, raters=2, ballots=3)][-1] == 6
    assert [p.answered for p in simulate(study, raters=2, ballots=5)][-1] == 4
    assert set(Rater.objects.values_list("kind", flat=True)) == {"simulated"}
    assert set(Vote.objects.values_list("stratum", flat=True)) == {"simulated"}
    assert Ballot.objects.filter(state=Ballot.State.ANSWERED).count() == 10


@pytest.mark.django_db
def test_raters_enrolled_to_vote_by_themselves_stop_at_their_number() -> None:
    study = scene_study(slug="background", shuffled=False)
    simulated_raters.enrol(study, 2, ballots_by_themselves=4)
    assert simulated_raters.vote_for_a_while(seconds=60) == 8
    assert simulated_raters.vote_for_a_while(seconds=60) == 0


@pytest.mark.once
@pytest.mark.django_db
def test_raters_asked_for_by_the_command_do_not_go_on_by_themselves() -> None:
    study = scene_study(slug="asked", shuffled=False)
    call_command("simulate_raters", study.slug, raters=2, votes=3)
    assert simulated_raters.vote_for_a_while(seconds=60) == 0
    assert Ballot.objects.filter(state=Ballot.State.ANSWERED).count() == 6


@pytest.mark.django_db
def test_an_image_that_failed_does_not_hold_the_simulated_raters_up_but_one_to_come_does() -> None:
    study = scene_study(slug="failed", shuffled=False)
    simulated_raters.enrol(study, 1, ballots_by_themselves=2)
    run = Run.objects.create(name="failed")
    recipe = make_recipe("never made", steps=3)
    job = ImageJob.objects.create(recipe=recipe, prompt_text="x", prompt_digest="x", request_digest="x")
    RunItem.objects.create(run=run, job=job)
    Study.objects.filter(pk=study.pk).update(run=run)
    assert simulated_raters.vote_for_a_while(seconds=60) == 0
    ImageJob.objects.filter(pk=job.pk).update(state=ImageJob.State.FAILED, reason="out of memory")
    assert simulated_raters.vote_for_a_while(seconds=60) == 2


@pytest.mark.django_db
def test_captions_of_another_world_are_refused_with_a_sentence() -> None:
    study = make_study()
    with pytest.raises(Refusal, match="only understand captions of the scene world"):
        simulated_raters.enrol(study, 1)
    with pytest.raises(CommandError, match="only understand captions of the scene world"):
        call_command("simulate_raters", study.slug)
    assert not Rater.objects.exists()


def test_the_known_criteria_are_those_of_the_sd3_preset() -> None:
    assert sorted(KNOWN_CRITERIA) == sorted(spec.key for spec in PRESETS["sd3"])
