"""Ballots that check the rater: known answers, and pairs asked again with sides swapped. They look like any other."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import F
from django.utils.crypto import salted_hmac

from arena import display, gold
from arena.models import Ballot, BallotCheck, Gold, Rater, Study, Vote
from arena.pairing import STANDING, PairChoice
from generation.models import Image

WITHIN_QUOTA: Final = (Ballot.Purpose.ORDINARY, Ballot.Purpose.GOLD, Ballot.Purpose.REPEAT)
DISTANCE: Final = 8  # so many ballots lie between an answer and its repetition at least
FEWEST_MISSED: Final = 2  # one slip is nobody's failure
GOLD_RULE: Final = "gold"
REPEAT_RULE: Final = "repeat"


@dataclass(frozen=True)
class SpecialBallot:
    """A pair with its sides, and what the answer will be held against: a gold, or an answered ballot."""

    pair: PairChoice
    purpose: Ballot.Purpose
    gold: Gold | None = None
    repeats: Ballot | None = None

    def note_on(self, ballot: Ballot) -> None:
        """Keep what the ballot is held against, in a row of its own."""
        BallotCheck.objects.create(ballot=ballot, gold=self.gold, repeats=self.repeats)


def next_special(*, rater: Rater, study: Study, position: int) -> SpecialBallot | None:
    """What stands at this place of the rater's queue, if it is no ordinary pair.

    Whether it is one depends on rater and place alone, by a secret: asking again changes nothing, and every place is
    equally likely. Where nothing fits, as before there is something to repeat, the place goes to an ordinary pair.
    """
    gold_share, repeat_share = (float(study.rater_rules.get(name, 0)) for name in ("gold_share", "repeat_share"))
    if not gold_share and not repeat_share:
        return None
    chance = _draw(rater, position)
    if chance < gold_share:
        return _gold(rater, study)
    return _repeat(rater, study, position) if chance < gold_share + repeat_share else None


def _draw(rater: Rater, position: int) -> float:
    """Uniform from 0 to 1."""
    digest = salted_hmac("arena.special_ballots", f"{rater.public_id}:{position}", algorithm="sha256").digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _gold(rater: Rater, study: Study) -> SpecialBallot | None:
    had = BallotCheck.objects.filter(ballot__rater=rater, ballot__state__in=STANDING, gold__isnull=False)
    seen = Ballot.objects.filter(rater=rater, state__in=STANDING).values_list("left_image", "right_image")
    pairs = {frozenset(pair) for pair in seen}
    golds = gold.in_use(study).exclude(pk__in=had.values("gold"))
    fitting = [one for one in golds if frozenset((one.first_image_id, one.second_image_id)) not in pairs]
    shown = _showable(study, [pk for one in fitting for pk in (one.first_image_id, one.second_image_id)])
    fitting = [one for one in fitting if {one.first_image_id, one.second_image_id} <= shown]
    if not fitting:
        return None
    known = secrets.choice(fitting)
    sides = ((known.first_image_id, known.first_contender_id), (known.second_image_id, known.second_contender_id))
    left, right = sides if secrets.randbelow(2) else sides[::-1]
    pair = PairChoice(
        study_prompt_id=known.study_prompt_id,
        left_image_id=left[0],
        right_image_id=right[0],
        left_contender_id=left[1],
        right_contender_id=right[1],
        rule=GOLD_RULE,
        probability=1 / len(fitting),
    )
    return SpecialBallot(pair, Ballot.Purpose.GOLD, gold=known)


def _repeat(rater: Rater, study: Study, position: int) -> SpecialBallot | None:
    answered = Ballot.objects.filter(
        rater=rater,
        purpose=Ballot.Purpose.ORDINARY,
        origin=Ballot.Origin.ISSUED,
        state=Ballot.State.ANSWERED,
        position__lte=position - DISTANCE,
        left_contender__withdrawn_at__isnull=True,
        right_contender__withdrawn_at__isnull=True,
    )
    again = BallotCheck.objects.filter(ballot__rater=rater, ballot__state__in=STANDING, repeats__isnull=False)
    skipped = Vote.objects.filter(rater=rater, choice=Vote.Choice.SKIP)
    fitting = list(answered.exclude(pk__in=again.values("repeats")).exclude(pk__in=skipped.values("ballot")))
    shown = _showable(study, [pk for one in fitting for pk in (one.left_image_id, one.right_image_id) if pk])
    fitting = [one for one in fitting if {one.left_image_id, one.right_image_id} <= shown]
    if not fitting:
        return None
    before = secrets.choice(fitting)
    pair = PairChoice(
        study_prompt_id=before.study_prompt_id,
        left_image_id=before.right_image_id or 0,
        right_image_id=before.left_image_id or 0,
        left_contender_id=before.right_contender_id,
        right_contender_id=before.left_contender_id,
        rule=REPEAT_RULE,
        probability=1 / len(fitting),
    )
    return SpecialBallot(pair, Ballot.Purpose.REPEAT, repeats=before)


def _showable(study: Study, images: Sequence[int]) -> set[int | None]:
    return set(display.with_copies(Image.objects.filter(pk__in=images), study=study).values_list("pk", flat=True))


@dataclass(frozen=True)
class CheckCounts:
    """Answers on checking ballots: of how many, how many were right or the same as before."""

    gold_asked: int = 0
    gold_right: int = 0
    repeats: int = 0
    repeated_same: int = 0


def has_failed_gold(rater: Rater) -> bool:
    """Whether the rater missed more known answers than the study's `gold_bar` allows, and at least two of them."""
    bar = rater.study.rater_rules.get("gold_bar")
    if bar is None:
        return False
    right = [is_right for _, is_right in _gold_answers(rater.study, rater)]
    return right.count(False) >= FEWEST_MISSED and sum(right) < float(bar) * len(right) - 1e-9


def check_counts(study: Study) -> dict[int, CheckCounts]:
    """By rater id, answers to gold and to repetitions; two queries. Skips and questions without answer are left out."""
    counts: dict[int, CheckCounts] = {}
    for rater, is_right in _gold_answers(study):
        own = counts.get(rater, CheckCounts())
        counts[rater] = CheckCounts(own.gold_asked + 1, own.gold_right + is_right, own.repeats, own.repeated_same)
    for rater, is_same in _repeated_answers(study):
        own = counts.get(rater, CheckCounts())
        counts[rater] = CheckCounts(own.gold_asked, own.gold_right, own.repeats + 1, own.repeated_same + is_same)
    return counts


def _gold_answers(study: Study, only: Rater | None = None) -> list[tuple[int, bool]]:
    votes = Vote.objects.answers().standing().filter(study=study, ballot__purpose=Ballot.Purpose.GOLD)
    votes = votes.filter(ballot__check_against__gold__isnull=False)
    if only is not None:
        votes = votes.filter(rater=only)
    found = []
    for rater, key, choice, left, first, answers in votes.values_list(
        *("rater", "criterion__key", "choice", "ballot__left_image"),
        *("ballot__check_against__gold__first_image", "ballot__check_against__gold__answers"),
    ):
        if (wanted := answers.get(key)) is not None:
            found.append((rater, gold.answer_said(choice, is_first_left=left == first) == wanted))
    return found


def _repeated_answers(study: Study) -> list[tuple[int, bool]]:
    votes = (
        Vote.objects.answers()
        .standing()
        .filter(
            study=study,
            ballot__check_against__repeats__votes__criterion=F("criterion"),
        )
    )
    swapped = {"left": "right", "right": "left"}
    rows = votes.values_list("rater", "choice", "ballot__check_against__repeats__votes__choice")
    return [(rater, swapped.get(choice, choice) == before) for rater, choice, before in rows]
