"""Simulated raters for demos and tests: they look at pixels, and at nothing else.

`decide` receives two pixel arrays, the caption and the rater's own traits. It cannot know which model made which image,
so every preference it shows is one that the pictures earned. They vote through the same ballots as people, as a stratum
of their own.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image as PillowImage

from arena import voting
from arena.models import Ballot, Rater, Study
from arena.refusals import Refusal
from arena.studies import readiness
from generation import image_store
from generation.models import Image
from generation.scenes import CaptionError, Findings, check, parse_caption

BY_THEMSELVES = "ballots_by_themselves"  # kept beside the traits of a rater's row
KNOWN_CRITERIA = ("prompt-following", "aesthetics", "typography")


@dataclass(frozen=True)
class Traits:
    """One simulated rater: how sharp, how careful, and what they care about. All in units of the logit scale."""

    seed: int
    sharpness: float
    noise: float
    tie_width: float
    lapse: float
    left_bias: float
    care: tuple[float, ...]


@dataclass(frozen=True)
class Judgement:
    """What a rater says where a tie may be said, and which side they lean to where it may not."""

    choice: str
    leaning: str


@dataclass(frozen=True)
class SimulationProgress:
    """Ballots answered so far in this simulation, of the number asked for."""

    answered: int
    wanted: int


def draw_traits(seed: int) -> Traits:
    """A rater with a taste and habits of their own, the same for the same seed."""
    rng = np.random.default_rng([20_26, seed])
    return Traits(
        seed=seed,
        sharpness=float(6.0 * np.exp(rng.normal(0, 0.3))),
        noise=float(0.8 * np.exp(rng.normal(0, 0.3))),
        tie_width=float(0.5 * np.exp(rng.normal(0, 0.4))),
        lapse=float(rng.beta(2, 30)),
        left_bias=float(rng.normal(0.05, 0.1)),
        care=tuple(float(weight) for weight in np.exp(rng.normal(0, 0.35, size=4))),
    )


def decide(left: np.ndarray, right: np.ndarray, caption: str, rater: Traits) -> dict[str, Judgement]:
    """Compare two uint8 pictures of shape (h, w, 3) on every criterion of KNOWN_CRITERIA.

    The same pictures, caption and rater always give the same judgements. Raises CaptionError for a caption outside the
    scene world.
    """
    scores_left, scores_right = (_scores(_findings(p.tobytes(), p.shape, caption), rater) for p in (left, right))
    digest = hashlib.sha256(left.tobytes() + right.tobytes() + caption.encode()).digest()
    rng = np.random.default_rng([rater.seed, int.from_bytes(digest[:8], "big")])
    judgements = {}
    for key in KNOWN_CRITERIA:
        difference = rater.sharpness * (scores_left[key] - scores_right[key]) + rater.left_bias
        difference += rater.noise * float(rng.normal())
        if rng.random() < rater.lapse:
            difference = 4 * float(rng.normal())
        leaning = "left" if difference > 0 else "right"
        judgements[key] = Judgement("tie" if abs(difference) < rater.tie_width else leaning, leaning)
    return judgements


@lru_cache(maxsize=1024)
def _findings(pixels: bytes, shape: tuple[int, ...], caption: str) -> Findings:
    return check(np.frombuffer(pixels, dtype=np.uint8).reshape(shape), parse_caption(caption))


def _scores(seen: Findings, rater: Traits) -> dict[str, float]:
    clean, shape, place, colour = rater.care
    # A sign has no shape to get wrong and no other place; several equal things have a number instead of a place.
    looks = seen.colours if seen.shape is None else seen.shape
    arrangement = next((score for score in (seen.place, seen.count) if score is not None), seen.colours)
    following = colour * (0.5 * seen.background + seen.colours) + place * arrangement + shape * looks
    letters = seen.letters or 0.0
    return {
        "prompt-following": (following + letters) / 3,
        "aesthetics": 1.5 * clean * seen.cleanliness + 0.3 * shape * looks + 0.3 * colour * seen.background,
        "typography": 1.5 * letters + 0.5 * seen.cleanliness,
    }


def simulate(study: Study, *, raters: int, ballots: int) -> Iterator[SimulationProgress]:
    """Let `raters` simulated raters answer up to `ballots` ballots each, in turns; continues where it stopped."""
    people = enrol(study, raters)
    left_to_do = {rater.pk: ballots - _answered(rater) for rater in people}
    wanted = sum(max(0, count) for count in left_to_do.values())
    answered = 0
    yield SimulationProgress(answered, wanted)
    while people:
        for rater in tuple(people):
            if left_to_do[rater.pk] <= 0 or not answer_next(rater):
                people.remove(rater)
                continue
            left_to_do[rater.pk] -= 1
            answered += 1
            yield SimulationProgress(answered, wanted)


def vote_for_a_while(*, seconds: float) -> int:
    """Let raters enrolled to vote by themselves do so in studies that wait for no image; how many they answered.

    In turns and for a limited time, so that the worker which also refits and prepares images is never taken for long.
    """
    ends, answered = time.monotonic() + seconds, 0
    enrolled = Rater.objects.filter(kind=Rater.Kind.SIMULATED, study__state=Study.State.OPEN)
    enrolled = enrolled.filter(**{f"traits__{BY_THEMSELVES}__gt": 0}).select_related("study__run")
    left_to_do = {rater: _wanted(rater) - _answered(rater) for rater in enrolled.order_by("pk")}
    waiting = {rater.study_id: _waits_for_images(rater.study) for rater in left_to_do}
    while people := [rater for rater, left in left_to_do.items() if left > 0 and not waiting[rater.study_id]]:
        for rater in people:
            if time.monotonic() > ends:
                return answered
            is_answered = answer_next(rater)
            answered += is_answered
            left_to_do[rater] = left_to_do[rater] - 1 if is_answered else 0
    return answered


def _wanted(rater: Rater) -> int:
    return int(rater.traits[BY_THEMSELVES])


def _answered(rater: Rater) -> int:
    return rater.ballots.filter(state=Ballot.State.ANSWERED).count()


def _waits_for_images(study: Study) -> bool:
    """Whether images are still to come. One that failed is not: the others can be compared without it."""
    if study.run is not None and study.run.jobs.unfinished().exists():
        return True
    ready = readiness(study)
    return ready.showable + ready.quarantined < ready.made


def answer_next(rater: Rater) -> bool:
    """Answer this rater's next ballot; False when there is none to be had."""
    ballots = voting.open_ballots(rater=rater, wanted=1)
    if not ballots:
        return False
    voting.cast_votes(rater=rater, ballot_token=ballots[0].token, answers=answers_to(ballots[0]))
    return True


def answers_to(ballot: Ballot) -> dict[str, str]:
    """What the ballot's rater says to each of its criteria, from the two pictures and the prompt's text alone."""
    if ballot.left_image is None or ballot.right_image is None:
        raise Refusal("This ballot was imported without images: there is nothing to look at.", code="no_images")
    traits = {name: value for name, value in ballot.rater.traits.items() if name != BY_THEMSELVES}
    judgements = decide(
        _pixels(ballot.left_image),
        _pixels(ballot.right_image),
        ballot.study_prompt.prompt.text,
        Traits(**{**traits, "care": tuple(traits["care"])}),
    )
    return {
        criterion.key: judgements[criterion.key].choice if criterion.allows_tie else judgements[criterion.key].leaning
        for criterion in ballot.study_prompt.criteria.all()
    }


def _pixels(image: Image) -> np.ndarray:
    with PillowImage.open(BytesIO(image_store.read(image.file_sha256, suffix=".png"))) as picture:
        return np.asarray(picture.convert("RGB"))


def enrol(study: Study, count: int, *, ballots_by_themselves: int = 0) -> list[Rater]:
    """The study's first `count` simulated raters, made where there are fewer.

    New ones answer `ballots_by_themselves` ballots in the background (`vote_for_a_while`); 0 leaves all to `simulate`.

    Raises Refusal when the study's criteria or prompts are not ones that simulated raters understand.
    """
    _refuse_what_they_cannot_judge(study)
    existing = list(study.raters.filter(kind=Rater.Kind.SIMULATED).order_by("pk")[:count])
    for number in range(len(existing), count):
        traits = {**asdict(draw_traits(number)), BY_THEMSELVES: ballots_by_themselves}
        existing.append(Rater.objects.create(study=study, kind=Rater.Kind.SIMULATED, traits=traits))
    return existing


def _refuse_what_they_cannot_judge(study: Study) -> None:
    unknown = [c.key for c in study.criteria.all() if c.key not in KNOWN_CRITERIA]
    if unknown:
        raise Refusal(
            f"Simulated raters cannot judge {', '.join(unknown)}; they know {', '.join(KNOWN_CRITERIA)}.",
            code="unknown_criterion",
        )
    for study_prompt in study.study_prompts.select_related("prompt"):
        try:
            parse_caption(study_prompt.prompt.text)
        except CaptionError as error:
            raise Refusal(
                f"Simulated raters only understand captions of the scene world, such as the demo's prompts: {error}.",
                code="unknown_caption",
            ) from error
