"""Pieces that were rendered once for many ballots say of each what its template says."""

import re

import pytest
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils import translation

from arena import asked, undoing, voting
from arena.models import Ballot, Study
from arena.views.ballot_page import page_of
from arena.views.ballot_pieces import piece_of
from tests.arena import factories

pytestmark = pytest.mark.django_db
TEXTS = ("a <b>bold</b> & {{ plain }} prompt", "long " * 40, 'a sign that says "A & B" here', "mark part0 marktoken")


def without_form_token(html: str) -> str:
    return re.sub(r'(name="csrfmiddlewaretoken" value=")\w+', r"\1", html)


def ballots_of(study: Study) -> list[Ballot]:
    rater = factories.make_rater(study)
    ballots = voting.open_ballots(rater=rater)
    for ballot, text in zip(ballots, TEXTS, strict=False):
        prompt = ballot.study_prompt.prompt
        prompt.text, prompt.target_text = text, "A & B" if "A & B" in text else None
    return ballots


@pytest.mark.parametrize("language", ["en-gb", "de"])
def test_a_piece_is_what_the_template_gives(language: str) -> None:
    study = factories.make_study(prompts=4)
    request: HttpRequest = RequestFactory().get("/")
    with translation.override(language):
        for ballot in ballots_of(study):
            page = page_of(ballot, criteria=asked.criteria_of(study))
            expected = render_to_string("arena/_ballot.html", {"study": study, "ballot": page}, request=request)
            for _again in range(2):
                found = piece_of(page, study=study, request=request)
                assert without_form_token(found) == without_form_token(expected)
                assert ballot.token in found and re.search(r'name="csrfmiddlewaretoken" value="\w{64}"', found)


def test_what_can_be_undone_after_an_answer_is_what_the_database_says() -> None:
    study = factories.make_study(prompts=6)
    rater = factories.make_rater(study)
    for act in ("answer", "answer", "undo", "answer second", "answer", "answer"):
        if act == "undo":
            last = undoing.undoable(rater)
            assert last is not None
            undoing.undo(rater=rater, ballot_token=last.token)
            continue
        # Another tab may answer the second pair while the undone one waits.
        ballot = voting.open_ballots(rater=rater)[1 if act == "answer second" else 0]
        ballot = voting.ballot_of(rater, ballot.token)
        voting.answer(ballot, answers={criterion.key: "left" for criterion in asked.asked_on(ballot)})
        found = undoing.undoable_after(ballot, voting.open_ballots(rater=rater))
        assert found == undoing.undoable(rater), act
