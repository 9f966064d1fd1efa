"""Which side a contender stands on: even, and foretold by nothing that a rater can see."""

import math
from collections import Counter

import pytest

from arena import voting
from arena.models import Ballot
from tests.arena.factories import make_rater, make_study
from tests.security.attacks import ATTACKS

pytestmark = pytest.mark.django_db

MANY = 10 * ATTACKS
FAR = 5.0  # standard deviations: of 132 looks, one in ten thousand runs has one beyond


def test_each_contender_is_left_half_of_the_time_and_no_bit_of_the_token_tells() -> None:
    study = make_study(contenders=4, prompts=6, with_text=0, ballots_per_rater=None)
    while Ballot.objects.count() < MANY:
        rater = make_rater(study)
        for _ in range(10):
            voting.open_ballots(rater=rater, wanted=3)
            Ballot.objects.filter(rater=rater).update(state=Ballot.State.EXPIRED)
    ballots = list(Ballot.objects.values_list("token", "left_contender", "right_contender"))
    left = Counter(one for _, one, _ in ballots)
    for contender in study.contenders.all():
        shown = left[contender.pk] + sum(other == contender.pk for _, _, other in ballots)
        assert abs(left[contender.pk] - shown / 2) < FAR * math.sqrt(shown) / 2
    first_is_left = [one < other for _, one, other in ballots]
    for bit in range(128):
        agrees = sum(
            bool(int(token, 16) >> bit & 1) == is_left
            for (token, _, _), is_left in zip(ballots, first_is_left, strict=True)
        )
        assert abs(agrees - len(ballots) / 2) < FAR * math.sqrt(len(ballots)) / 2, f"bit {bit} of the token"
