"""The votes behind a number, over HTTP."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from arena import fitting
from arena.ballot_lists import AT_ONCE
from arena.models import Contender, Exclusion, Study
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import cast, make_rater, make_study, make_user
from tests.arena.fit_cases import add_vote, bare_study

pytestmark = pytest.mark.django_db

Queries = Callable[..., Any]


def client_of(name: str = "ada") -> Client:
    client = Client()
    client.force_login(make_user(name))
    return client


def ballots_of(study: Study, client: Client | None = None, **query: str | int) -> str:
    response = (client or client_of()).get(reverse("arena:ballots", args=[study.slug]), query)
    assert response.status_code == 200
    return str(response.content.decode())


def pair_of(study: Study) -> tuple[Contender, Contender]:
    one, other, *_ = study.contenders.order_by("position")
    return one, other


def test_the_votes_on_a_pair_are_shown_with_images_times_and_rater() -> None:
    study = make_study(contenders=2, prompts=3)
    rater = make_rater(study)
    cast(rater, "left", ballots=2)
    one, other = pair_of(study)
    page = ballots_of(study, one=one.pk, other=other.pk)
    assert page.count('class="card"') == 2
    assert page.count("after 1.5 s") == 2
    assert page.count(f"<code>{rater.public_id[:8]}</code>") == 2
    for ballot in rater.ballots.filter(state="answered"):
        assert f"/studies/colours/images/{ballot.left_image_id}.webp" in page
        assert f"/studies/colours/images/{ballot.right_image_id}.webp" in page
        assert client_of().get(f"/studies/colours/images/{ballot.left_image_id}.webp").status_code == 200


def test_other_pairs_prompts_and_raters_stay_out() -> None:
    study = bare_study(contenders=3)
    here, elsewhere = make_rater(study), make_rater(study)
    one, other = pair_of(study)
    add_vote(study, here, left=0, right=1, choice="left", prompt=0)
    add_vote(study, here, left=1, right=0, choice="tie", prompt=1)
    add_vote(study, here, left=1, right=2, choice="right", prompt=1)
    add_vote(study, elsewhere, left=0, right=2, choice="left", prompt=1)
    prompt = study.study_prompts.get(position=1)
    counts = [
        ballots_of(study, **query).count('class="card"')
        for query in (
            {},
            {"one": one.pk},
            {"one": one.pk, "other": other.pk},
            {"one": one.pk, "other": other.pk, "prompt": prompt.pk},
            {"rater": elsewhere.public_id},
        )
    ]
    assert counts == [4, 3, 2, 1, 1]


def test_what_is_excluded_or_undone_is_shown_as_not_counted() -> None:
    study = bare_study()
    rater = make_rater(study)
    vote = add_vote(study, rater, left=0, right=1, choice="left")
    add_vote(study, rater, left=0, right=1, choice="right", prompt=1)
    add_vote(study, rater, left=0, right=1, choice="skip", prompt=2)
    Exclusion.objects.create(study=study, scope="vote", vote=vote, reason="a slip")
    page = ballots_of(study)
    assert page.count("not counted") == 2
    assert page.count('class="card"') == 1


def test_older_votes_follow_page_by_page() -> None:
    study = bare_study()
    bulk_votes(study, raters=1, ballots_per_rater=AT_ONCE + 5)
    first = ballots_of(study)
    assert first.count('class="card"') == AT_ONCE
    found = re.search(r'href="([^"]+)">Older votes', first)
    assert found is not None
    second = client_of().get(found[1].replace("&amp;", "&")).content.decode()
    assert second.count('class="card"') == 5
    assert "Older votes" not in second


def test_what_the_study_has_not_is_not_found() -> None:
    study, elsewhere = bare_study(), bare_study(slug="elsewhere")
    stranger = elsewhere.contenders.first()
    assert stranger is not None
    address = reverse("arena:ballots", args=[study.slug])
    for query in ({"criterion": "beauty"}, {"one": stranger.pk}, {"one": "x"}, {"prompt": 999_999}, {"before": "-1"}):
        assert client_of().get(address, query).status_code == 404


def test_a_stranger_finds_nothing() -> None:
    study = bare_study()
    assert client_of("eve").get(reverse("arena:ballots", args=[study.slug])).status_code == 404


@pytest.mark.parametrize("votes", [2, 12])
def test_a_page_costs_the_same_number_of_queries_for_any_number_of_votes(
    votes: int, django_assert_num_queries: Queries
) -> None:
    study = bare_study()
    bulk_votes(study, raters=1, ballots_per_rater=votes)
    client = client_of()
    with django_assert_num_queries(8):
        ballots_of(study, client)


def test_the_matrix_leads_to_the_votes_of_each_pair_that_met() -> None:
    study = bare_study(contenders=3)
    for number in range(4):
        rater = make_rater(study)
        for pair in ((0, 1), (1, 0), (1, 2), (2, 1)):
            add_vote(study, rater, left=pair[0], right=pair[1], choice="left" if number else "tie", prompt=number)
    fitting.refit(study)
    page = client_of().get(reverse("arena:study", args=[study.slug])).content.decode()
    ids = list(study.contenders.order_by("position").values_list("pk", flat=True))
    linked = set(re.findall(r"one=(\d+)&amp;other=(\d+)\"", page))
    met = {(str(ids[i]), str(ids[j])) for i, j in ((0, 1), (1, 0), (1, 2), (2, 1))}
    assert linked == met
    assert page.count('<span class="seen">50% of 8</span>') == 4
