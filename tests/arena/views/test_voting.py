"""The vote page as a browser without a script and as the page's own script meet it."""

import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import studies, voting
from arena.models import Ballot, Criterion, Study, Vote
from tests.arena.factories import cast, make_rater, make_study
from tests.arena.views.browsers import JSON, answers_to, joined_browser, open_ballot, vote_address

pytestmark = pytest.mark.django_db


def queue_of(browser: Client, study: Study) -> dict[str, object]:
    reply = browser.get(reverse("arena:vote_queue", args=[study.slug]))
    assert reply.status_code == 200
    return dict(reply.json())


def test_the_page_shows_prompt_questions_and_two_opaque_images() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    page = browser.get(vote_address(study)).content.decode()
    shown = re.sub(r"<[^>]+>", "", page)
    assert ballot.study_prompt.prompt.text in shown.replace("&quot;", '"')
    for criterion in ballot.study_prompt.criteria.all():
        assert criterion.question in shown
    images = [f"/ballots/{ballot.token}/left.webp", f"/ballots/{ballot.token}/right.webp"]
    assert re.findall(r'<img src="([^"]+)"', page) == images


def test_only_the_criteria_that_apply_have_answers() -> None:
    study = make_study(prompts=1, with_text=0)
    browser, _ = joined_browser(study)
    page = browser.get(vote_address(study)).content.decode()
    assert 'name="answer.aesthetics"' in page
    assert 'name="answer.typography"' not in page


def test_the_text_to_spell_is_set_off() -> None:
    study = make_study(prompts=1, with_text=1)
    browser, _ = joined_browser(study)
    assert "<mark>W0</mark>" in browser.get(vote_address(study)).content.decode()


def test_a_question_without_ties_offers_none() -> None:
    study = make_study(criteria="sd3_house")
    browser, _ = joined_browser(study)
    assert 'value="tie"' not in browser.get(vote_address(study)).content.decode()


def test_reload_shows_the_same_open_ballot() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    assert open_ballot(browser, study) == open_ballot(browser, study)


def test_the_page_is_never_stored_and_notes_when_it_was_shown() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    page = browser.get(vote_address(study))
    assert "no-store" in page.headers["Cache-Control"]
    assert {"Cookie", "Accept"} <= {name.strip() for name in page.headers["Vary"].split(",")}
    assert open_ballot(browser, study).shown_at is not None


def test_without_a_script_answers_are_a_form_that_leads_to_the_next_ballot() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    first = open_ballot(browser, study)
    answer = browser.post(vote_address(study), answers_to(first, "tie"))
    assert (answer.status_code, answer.headers["Location"]) == (302, vote_address(study))
    assert set(rater.votes.values_list("ballot", "choice")) == {(first.pk, "tie")}
    assert rater.votes.count() == first.study_prompt.criteria.count()
    page = browser.get(vote_address(study)).content.decode()
    assert "✓ Saved" in page
    assert "1 of 12" in page
    assert open_ballot(browser, study) != first


def test_a_script_gets_the_receipt_with_progress_and_the_next_ballots() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    ballot = open_ballot(browser, study)
    reply = browser.post(vote_address(study), {**answers_to(ballot), "page_milliseconds": "2345"}, headers=JSON)
    said = reply.json()
    assert reply.status_code == 200
    assert (said["saved"], said["already"], said["next"]) == (True, False, vote_address(study))
    assert said["progress"]["text"].startswith("1 of 12 · about ")
    assert [each["token"] for each in said["ballots"]] == [
        each["token"]
        for each in queue_of(browser, study)["ballots"]  # type: ignore[attr-defined]
    ]
    assert len(said["ballots"]) == 3
    assert set(Vote.objects.values_list("page_milliseconds", flat=True)) == {2345}


def test_an_answer_with_its_next_pair_costs_few_queries(django_assert_max_num_queries: object) -> None:
    study = make_study(contenders=3, prompts=6)
    browser, rater = joined_browser(study)
    for _ in range(3):  # what a process keeps of a study is read by then
        cast(rater, "left")
    queue = voting.open_ballots(rater=rater)
    form = {**answers_to(queue[0]), "known": [ballot.token for ballot in queue[1:]]}
    # Transactions with their savepoints of a test count as queries here, and so may one prompt that is new.
    with django_assert_max_num_queries(24):  # type: ignore[operator]
        reply = browser.post(vote_address(study), form, headers=JSON)
    assert [bool(ballot["html"]) for ballot in reply.json()["ballots"]] == [False, False, True]


def test_what_the_page_holds_already_does_not_travel_again() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    first, second, third = voting.open_ballots(rater=rater)
    form = {**answers_to(first), "known": [second.token, third.token]}
    ballots = browser.post(vote_address(study), form, headers=JSON).json()["ballots"]
    assert [bool(ballot["html"]) for ballot in ballots] == [False, False, True]


def test_the_queue_holds_whole_forms_the_open_ballot_first() -> None:
    study = make_study()
    browser, _ = joined_browser(study)
    first = open_ballot(browser, study)
    ballots = json.loads(json.dumps(queue_of(browser, study)["ballots"]))
    assert ballots[0]["token"] == first.token
    for ballot in ballots:
        assert f'data-ballot="{ballot["token"]}"' in ballot["html"]
        assert "csrfmiddlewaretoken" in ballot["html"]


def test_looking_at_the_queue_does_not_mark_ballots_as_shown() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    queue_of(browser, study)
    assert rater.ballots.count() == 3
    assert set(rater.ballots.values_list("shown_at", flat=True)) == {None}


@pytest.mark.parametrize("headers", [{}, JSON])
def test_a_repeated_submission_is_already_recorded_and_changes_nothing(headers: dict[str, str]) -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    ballot = open_ballot(browser, study)
    browser.post(vote_address(study), answers_to(ballot, "left"))
    again = browser.post(vote_address(study), answers_to(ballot, "right"), headers=headers, follow=True)
    assert again.status_code == 200
    if headers:
        assert (again.json()["saved"], again.json()["already"]) == (True, True)
    else:
        assert "Already recorded" in again.content.decode()
    assert set(rater.votes.values_list("choice", flat=True)) == {"left"}


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"answer.aesthetics": 'both"'}, "aesthetics"),
        ({"answer.aesthetics": "both_bad"}, "aesthetics"),
        ({"answer.aesthetics": ""}, "aesthetics"),
        ({"answer.aesthetics": None}, "aesthetics"),
        ({"answer.aesthetics": ["left", "right"]}, "aesthetics"),
        ({"answer.aesthetics": "skip"}, "aesthetics"),
        ({"answer.beauty": "left"}, "beauty"),
        ({"ballot": ""}, "ballot"),
        ({"ballot": "0" * 32}, "ballot"),
        ({"ballot": "x" * 5000}, "ballot"),
        ({"skip": "1"}, "skip_reason"),
        ({"skip": "1", "skip_reason": "bored"}, "skip_reason"),
    ],
)
@pytest.mark.parametrize("headers", [{}, JSON])
def test_a_wrong_answer_names_its_field_and_stores_nothing(
    change: dict[str, str | list[str] | None], field: str, headers: dict[str, str]
) -> None:
    study = make_study(prompts=2, with_text=0)
    browser, _ = joined_browser(study)
    form: dict[str, object] = {**answers_to(open_ballot(browser, study)), **change}
    reply = browser.post(
        vote_address(study), {name: value for name, value in form.items() if value is not None}, headers=headers
    )
    assert reply.status_code == 400
    if headers:
        said = reply.json()
        assert (said["saved"], said["field"]) == (False, field)
        assert said["problem"].endswith((".", "!"))
    else:
        said = re.search(r"data-problem>([^<]*)<", reply.content.decode())
        assert said and said[1]
    assert Vote.objects.count() == 0


def test_a_refused_form_keeps_what_was_answered() -> None:
    study = make_study(prompts=2, with_text=0)
    browser, _ = joined_browser(study)
    form = answers_to(open_ballot(browser, study), "right")
    page = browser.post(vote_address(study), {**form, "answer.aesthetics": ""}).content.decode()
    assert re.search(r'name="answer.prompt-following" value="right" required checked', page)
    assert not re.search(r'name="answer.aesthetics" value="\w+" required checked', page)
    assert 'data-criterion="aesthetics" tabindex="-1" aria-invalid="true"' in page


def test_a_ballot_of_another_study_or_rater_is_refused() -> None:
    study, other = make_study(slug="one"), make_study(slug="other")
    browser, _ = joined_browser(study)
    stranger = joined_browser(study)[1]
    for rater in (stranger, make_rater(other)):
        foreign = voting.open_ballots(rater=rater, wanted=1)[0]
        assert browser.post(vote_address(study), answers_to(foreign), headers=JSON).status_code == 400
    assert Vote.objects.count() == 0


def test_an_absurd_page_time_is_dropped_and_the_vote_kept() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    for milliseconds in ("-1", "1e9", "٣", "9" * 400, "9" * 5000, "9" * 10):
        form = {**answers_to(open_ballot(browser, study)), "page_milliseconds": milliseconds}
        assert browser.post(vote_address(study), form, headers=JSON).status_code == 200
    assert set(rater.votes.values_list("page_milliseconds", flat=True)) == {None}


def test_a_skip_with_its_reason_is_kept() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    form = {"ballot": open_ballot(browser, study).token, "skip": "1", "skip_reason": "cannot_tell"}
    assert browser.post(vote_address(study), form, headers=JSON).json()["saved"] is True
    assert set(rater.votes.values_list("choice", "skip_reason")) == {("skip", "cannot_tell")}


def test_a_vote_needs_the_form_token() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    ballot = open_ballot(browser, study)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    assert strict.post(vote_address(study), answers_to(ballot), headers=JSON).status_code == 403
    assert rater.votes.count() == 0


def test_without_having_joined_every_page_asks_for_the_link_and_says_nothing_else() -> None:
    study = make_study()
    browser = Client()
    for name in ("vote", "vote_queue", "done"):
        here, nowhere = (browser.get(reverse(f"arena:{name}", args=[slug])) for slug in (study.slug, "none"))
        assert (here.status_code, nowhere.status_code) == (403, 403)
        assert here.content == nowhere.content
        assert b"invitation link" in here.content
    assert browser.post(vote_address(study), {}, headers=JSON).status_code == 403
    assert not browser.cookies


@pytest.mark.parametrize(
    ("act", "words"), [(studies.pause_study, "This study is paused"), (studies.close_study, "This study has ended")]
)
def test_a_study_that_stops_says_so_and_takes_no_votes(act: object, words: str) -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    ballot = open_ballot(browser, study)
    act(study, actor=None)  # type: ignore[operator]
    assert words in browser.get(vote_address(study)).content.decode()
    refused = browser.post(vote_address(study), answers_to(ballot), headers=JSON)
    assert refused.status_code == 409
    assert (refused.json()["saved"], refused.json()["ballots"]) == (False, [])
    page = browser.post(vote_address(study), answers_to(ballot), follow=True)
    assert words in page.content.decode()
    assert rater.votes.count() == 0


def test_a_ballot_that_lay_too_long_is_refused_and_another_offered() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    ballot = open_ballot(browser, study)
    Ballot.objects.filter(pk=ballot.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    refused = browser.post(vote_address(study), answers_to(ballot), headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (409, "ballot_expired")
    assert ballot.token not in [each["token"] for each in refused.json()["ballots"]]
    assert rater.votes.count() == 0
    assert open_ballot(browser, study) != ballot


def names_to_hide(study: Study) -> set[str]:
    """Everything that names a contender or how its images were made."""
    found = set()
    for contender in study.contenders.select_related("recipe__checkpoint", "recipe__schedule"):
        recipe = contender.recipe
        found |= {contender.label, recipe.name, recipe.digest, str(recipe.checkpoint), str(recipe.schedule)}
        for image in recipe.images.all():
            found |= {str(image.seed), image.file_sha256, image.pixels_sha256, image.request_digest}
    return found


def test_nothing_a_rater_is_sent_names_a_contender() -> None:
    study = make_study()
    browser, rater = joined_browser(study)
    sent = []
    for _ in range(3):
        ballot = open_ballot(browser, study)
        sent += [
            browser.get(vote_address(study)),
            browser.get(reverse("arena:vote_queue", args=[study.slug])),
            browser.post(vote_address(study), {"ballot": ballot.token}, headers=JSON),
            browser.post(vote_address(study), answers_to(ballot), headers=JSON),
            browser.get(reverse("arena:done", args=[study.slug])),
        ]
    everything = "\n".join(f"{reply.headers}\n{reply.content.decode()}" for reply in sent)
    assert rater.votes.exists()
    assert [name for name in names_to_hide(study) if name in everything] == []


def test_the_pages_of_mirrored_ballots_differ_in_nothing_but_tokens() -> None:
    """The same two images with sides swapped: neither order nor size of anything gives the left contender away."""
    study = make_study(contenders=2, prompts=1)
    pages = []
    for is_swapped in (False, True):
        browser, rater = joined_browser(study)
        ballot = voting.open_ballots(rater=rater, wanted=1)[0]
        low = min(ballot.left_contender_id, ballot.right_contender_id)
        if (ballot.left_contender_id == low) == is_swapped:
            Ballot.objects.filter(pk=ballot.pk).update(
                left_contender=ballot.right_contender_id,
                right_contender=ballot.left_contender_id,
                left_image=ballot.right_image_id,
                right_image=ballot.left_image_id,
            )
        page = browser.get(vote_address(study)).content.decode().replace(ballot.token, "TOKEN")
        pages.append(re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page))
    assert pages[0] == pages[1]


def test_prompts_and_names_are_escaped() -> None:
    study = make_study(prompts=1)
    prompt = study.study_prompts.get().prompt
    prompt.text, prompt.target_text = '<script>alert("W0")</script>', 'alert("W0")'
    prompt.save(update_fields=["text", "target_text"])
    Criterion.objects.filter(study=study).update(name="<b>bold</b>")
    browser, rater = joined_browser(study)
    page = browser.get(vote_address(study)).content.decode()
    if "data-ballot=" not in page:  # the images belong to the text as it was
        pytest.fail("no ballot was issued")
    assert "<script>alert" not in page
    assert "<b>bold" not in page
