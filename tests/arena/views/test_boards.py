"""Boards as pages: who sees which, what can join, filters, history, and the form for everybody."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from arena import board_fitting, board_forms, boards
from arena.board_contenders import Cast, cast_of, identity_of
from arena.models import AuditEvent, Board, BoardFit, Study
from tests.arena.api.callers import caller
from tests.arena.board_cases import add_votes, linked_study, make_board, two_studies
from tests.arena.factories import make_user
from tests.arena.views.test_sharing import signed_in

pytestmark = pytest.mark.django_db

FORM = {"name": "Weekly", "criteria": ["prompt-following"], "studies": ["first", "second"]}


def text_of(browser: Client, address: str, **query: str) -> str:
    answer = browser.get(address, query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def at(board: Board, name: str = "board") -> str:
    return reverse(f"arena:{name}", args=[board.slug])


@pytest.fixture
def fitted() -> Board:
    board = make_board(*two_studies())
    board_fitting.refit_board(board)
    return board


def test_a_board_is_made_from_ticked_studies_and_says_what_it_is() -> None:
    two_studies()
    ada = signed_in("ada")
    answer = ada.post(reverse("arena:new_board"), FORM)
    board = Board.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, at(board))
    assert sorted(board.studies.values_list("slug", flat=True)) == ["first", "second"]
    assert "No votes on this question yet" in text_of(ada, at(board))
    board_fitting.refit_changed_boards()
    page = text_of(ada, at(board))
    assert (
        all(f"model {name}" in page for name in "abcde") and "480 votes by 8 raters on 8 prompts in 2 studies" in page
    )
    assert "Weekly" in text_of(ada, reverse("arena:boards"))
    acts = AuditEvent.objects.filter(act__contains="board").order_by("pk").values_list("act", "study__slug")
    joined = "study joined a board"
    assert sorted(acts, key=str) == [("board created", None), (joined, "first"), (joined, "second")]


def test_whoever_sees_a_board_takes_it_along_and_is_noted(fitted: Board) -> None:
    assert "Export" in text_of(signed_in("ada"), at(fitted))
    answer = signed_in("ada").post(at(fitted, "take_board"))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="standing-board.zip"'
    assert b"".join(answer).startswith(b"PK")  # what is in it: tests/arena/test_board_exports.py
    event = AuditEvent.objects.get(act="board exported")
    assert event.actor is not None and event.actor.username == "ada" and event.detail["board"] == "standing"
    assert signed_in("bob").post(at(fitted, "take_board")).status_code == 404


def test_the_form_says_which_studies_cannot_join_and_why() -> None:
    two_studies()
    linked_study("apart", "fgh", votes=0)
    reworded = linked_study("reworded", "ab", votes=0)
    reworded.criteria.filter(key="prompt-following").update(question="Which do you like?")
    Study.objects.filter(slug="second").update(state=Study.State.DRAFT, frozen_digest="")
    form = {"name": "x", "criteria": ["prompt-following"], "studies": ["first"], "check": "1"}
    page = signed_in("ada").post(reverse("arena:new_board"), form).content.decode()
    assert "Not linked: it shares no contender" in page
    assert "asks Prompt following in other words" in page
    assert "It is a draft" in page and not Board.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"studies": ["first", "apart"]}, "cannot join. Not linked"),
        ({"studies": []}, "Choose 1 to 200 studies"),
        ({"criteria": []}, "Choose at least one question"),
        ({"name": " "}, "required"),
        ({"slug": "new"}, "short name"),
        ({"reference": "nobody"}, "no contender of these studies"),
        ({"studies": ["secret"]}, "Choose 1 to 200 studies"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(change: dict[str, object], said: str) -> None:
    two_studies()
    linked_study("apart", "fgh", votes=0)
    linked_study("secret", "abc", votes=0, owner="eve")
    answer = signed_in("ada").post(reverse("arena:new_board"), {**FORM, **change})
    assert answer.status_code == 400 and said in answer.content.decode() and not Board.objects.exists()


def test_a_board_shows_only_to_who_may_see_all_its_studies(fitted: Board) -> None:
    bob, root = signed_in("bob"), signed_in("root", is_superuser=True)
    first, second = Study.objects.get(slug="first"), Study.objects.get(slug="second")
    first.members.create(user=make_user("bob"), role="analyst")
    assert bob.get(at(fitted)).status_code == 404 and at(fitted) not in text_of(bob, reverse("arena:boards"))
    second.members.create(user=make_user("bob"), role="analyst")
    assert bob.get(at(fitted)).status_code == 200
    for name in ("edit_board", "refit_board", "publish_board"):
        assert bob.post(at(fitted, name), {"public": "yes"}).status_code == 403, name
    assert root.get(at(fitted)).status_code == 200
    Study.objects.filter(pk=first.pk).update(owner=make_user("eve"))
    assert signed_in("ada").get(at(fitted)).status_code == 404  # its owner too
    assert not Board.objects.get().is_public


@pytest.mark.once
def test_filters_hide_lines_and_leave_places_alone(fitted: Board) -> None:
    ada = signed_in("ada")
    page = text_of(ada, at(fitted), study="first")
    lines = page.split('<h2 id="studies">')[0]
    assert "model a" in lines and "model d" not in lines and "3 of 5 contenders" in lines
    assert "model c" in text_of(ada, at(fitted), steps="8") and "1 of 5" in text_of(ada, at(fitted), steps="8")
    assert "1 of 5" in text_of(ada, at(fitted), name="WEIGHTS-B")
    assert "No contender is like this" in text_of(ada, at(fitted), new="1")  # who was there from the beginning
    BoardFit.objects.update(results=aged(BoardFit.objects.get(), but="model d"))
    assert "1 of 5" in text_of(ada, at(fitted), new="1") and "new since" in text_of(ada, at(fitted))
    assert "Prompt following: surfaces" in text_of(ada, at(fitted), category="surfaces")
    for query in ({"family": "x' OR 1"}, {"steps": "many"}, {"category": "<b>"}, {"study": "nowhere"}):
        assert "<b>" not in text_of(ada, at(fitted), **query).replace("<body", "")
    assert ada.get(at(fitted), {"criterion": "nothing"}).status_code == 404


def aged(fit: BoardFit, *, but: str) -> dict[str, object]:
    """What a fit found, all contenders but one there for long."""
    long_ago = (timezone.now() - timedelta(days=30)).isoformat()
    contenders = [
        entry if entry["label"] == but else {**entry, "since": long_ago} for entry in fit.results["contenders"]
    ]
    return {**fit.results, "contenders": contenders}


@pytest.mark.once
def test_the_history_is_a_chart_with_its_numbers(fitted: Board) -> None:
    ada = signed_in("ada")
    assert "begins with the second fit" in text_of(ada, at(fitted))
    add_votes(Study.objects.get(slug="first"), "abc", votes=10, seed=7)
    assert "have changed" not in text_of(ada, at(fitted))
    board_fitting.refit_changed_boards()  # leaves them for later, and says so
    assert "have changed since this fit" in text_of(ada, at(fitted))
    board_fitting.refit_board(fitted)
    address = reverse("arena:board_chart", args=[fitted.slug, "history-prompt-following", "csv"])
    lines = text_of(ada, address).splitlines()
    assert lines[0].startswith("fitted_at,votes,studies,contender") and len(lines) == 1 + 2 * 5
    svg = ada.get(address.replace(".csv", ".svg"))
    assert svg["Content-Type"] == "image/svg+xml" and b"against" in svg.content
    filtered = text_of(ada, address, name="model a").splitlines()
    assert len(filtered) == 1 + 2
    for wrong in ("history-nothing", "history", "nothing-prompt-following"):
        assert ada.get(reverse("arena:board_chart", args=[fitted.slug, wrong, "svg"])).status_code == 404


@pytest.mark.once
def test_only_an_administrator_switches_the_public_form_on(fitted: Board) -> None:
    nobody, ada, root = Client(), signed_in("ada"), signed_in("root", is_superuser=True)
    public = at(fitted, "public_board")
    assert nobody.get(public).status_code == root.get(public).status_code == 404
    assert ada.post(at(fitted, "publish_board"), {"public": "yes"}).status_code == 403
    assert nobody.get(public).status_code == 404
    assert root.post(at(fitted, "publish_board"), {"public": "yes"}).status_code == 302
    assert nobody.get(public).status_code == 200
    assert nobody.post(public).status_code == 405
    root.post(at(fitted, "publish_board"), {"public": "no"})
    assert nobody.get(public).status_code == 404
    acts = AuditEvent.objects.filter(act__in=("board published", "board hidden again"))
    assert [(event.act, event.actor.username) for event in acts.order_by("pk") if event.actor] == [
        ("board published", "root"),
        ("board hidden again", "root"),
    ]


@pytest.mark.once
def test_the_public_form_is_one_page_for_all_and_names_no_study(fitted: Board) -> None:
    boards.publish(fitted, is_public=True, actor=make_user("root", is_superuser=True))
    address, root = at(fitted, "public_board"), signed_in("root", is_superuser=True)
    answer = Client().get(address)
    page = answer.content.decode()
    assert all(f"model {name}" in page for name in "abcde")
    for secret in ("First", "Second", "first<", "second<", "/studies/", "csrf", "ada", "root", "Sign out"):
        assert secret not in page, secret
    assert root.get(address).content == answer.content
    assert answer["Cache-Control"] == "public, max-age=300" and "Cookie" not in answer.get("Vary", "")
    assert not answer.cookies
    assert Client().get(address, headers={"If-None-Match": answer["ETag"]}).status_code == 304
    chart = reverse("arena:public_board_chart", args=[fitted.slug, "standing-prompt-following", "csv"])
    assert "model a" in text_of(Client(), chart)
    for public in (address, chart):
        plain = text_of(Client(), public)
        # Names of checkpoints stand nowhere on it, so nobody may try whether there is one.
        for query in ({"study": "first"}, {"name": "weights-b"}, {"name": "model b"}, {"family": "x"}, {"steps": "7"}):
            assert text_of(Client(), public, **query) == plain, query
        assert text_of(Client(), public, steps="8") != plain


def test_new_contents_hide_a_public_board_until_an_administrator_looks(fitted: Board) -> None:
    boards.publish(fitted, is_public=True, actor=make_user("root", is_superuser=True))
    ada = signed_in("ada")
    kept = {"name": fitted.name, "criteria": ["prompt-following"], "studies": ["first", "second"]}
    ada.post(at(fitted, "edit_board"), kept)
    assert Board.objects.get().is_public
    for change in ({"studies": ["first"]}, {"name": "Buy here"}, {"description": "Buy here"}):
        Board.objects.update(is_public=True)
        page = ada.post(at(fitted, "edit_board"), {**kept, **change}, follow=True).content.decode()
        assert "must publish it again" in page and not Board.objects.get().is_public, change
        signed_in("root", is_superuser=True).post(at(fitted, "edit_board"), kept)


def test_a_study_that_left_shows_nowhere_any_more(fitted: Board) -> None:
    """Who may see the board now need not be allowed to see what it was made of before."""
    ada, second = signed_in("ada"), Study.objects.get(slug="second")
    add_votes(second, "bcde", votes=5, seed=7)
    board_fitting.refit_board(fitted)
    boards.publish(fitted, is_public=True, actor=make_user("root", is_superuser=True))
    chart = [fitted.slug, "history-prompt-following", "csv"]
    assert "model a" in text_of(ada, reverse("arena:board_chart", args=chart))
    ada.post(at(fitted, "edit_board"), {"name": "x", "criteria": ["prompt-following"], "studies": ["second"]})
    Board.objects.update(is_public=True)
    for page in (text_of(ada, at(fitted)), text_of(Client(), at(fitted, "public_board"))):
        assert "model a" not in page and "The studies of this board have changed" in page
    assert caller("ada").get(f"/boards/{fitted.slug}").json()["fits"] == []
    assert ada.get(reverse("arena:board_chart", args=chart)).status_code == 404
    board_fitting.refit_changed_boards()
    page = text_of(ada, at(fitted))
    assert "model d" in page and "model a" not in page and "begins with the second fit" in page


def test_a_study_beyond_the_newest_stays_on_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    board = make_board(*(linked_study(slug, "ab", votes=0) for slug in ("first", "second")))
    linked_study("third", "ab", votes=0)
    monkeypatch.setattr(board_forms, "MOST_OFFERED", 1)
    form = board_forms.BoardForm(make_user("ada"), board=board)
    assert [study.slug for study in form.offered] == ["third", "second", "first"]
    assert {study.slug for study in form.chosen} == {"first", "second"}


def test_a_short_name_that_somebody_else_takes_meanwhile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    study = linked_study("first", "ab", votes=0)
    look = cast_of

    def taken_meanwhile(studies: list[Study]) -> Cast:
        Board.objects.create(slug="standing", name="Theirs")
        return look(studies)

    monkeypatch.setattr(boards, "cast_of", taken_meanwhile)
    with pytest.raises(boards.BoardError, match="'standing' is taken"):
        boards.create_board(
            owner=make_user("ada"),
            name="Standing",
            studies=[study],
            criteria=["prompt-following"],
            reference=identity_of(study.contenders.all()[0].recipe),
        )
    assert Board.objects.get().name == "Theirs"


def test_an_owner_who_may_not_see_a_study_may_not_change_its_board() -> None:
    board = make_board(linked_study("first", "ab", votes=0))
    assert boards.may_edit(board, make_user("ada"))
    Study.objects.update(owner=make_user("eve"))
    assert not boards.may_edit(board, make_user("ada"))


def test_a_page_asks_as_much_for_many_studies_as_for_one_and_counts_no_votes() -> None:
    ada, first = signed_in("ada"), linked_study("first", "ab", votes=10)
    few = make_board(first, slug="few")
    many = make_board(first, *(linked_study(f"more-{number}", "ab", votes=10) for number in range(3)), slug="many")
    board_fitting.refit_changed_boards()

    def asked(board: Board) -> list[str]:
        text_of(ada, at(board))
        with CaptureQueriesContext(connection) as found:
            text_of(ada, at(board))
        return [query["sql"] for query in found.captured_queries]

    assert len(asked(few)) == len(asked(many)) <= 14
    assert not any("arena_vote" in sql for sql in asked(many))


def test_a_list_of_boards_takes_as_many_queries_for_many(fitted: Board, django_assert_max_num_queries: object) -> None:
    ada = signed_in("ada")
    for number in range(4):
        make_board(*Study.objects.all(), slug=f"more-{number}")
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        assert "More-3" in text_of(ada, reverse("arena:boards"))
