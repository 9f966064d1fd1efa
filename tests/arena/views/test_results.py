"""The results page and its charts over HTTP."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from arena import fitting
from arena.leaderboard import results_of
from arena.models import AuditEvent, Contender, Fit, Rater, Study, StudyMember
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_rater, make_study, make_user
from tests.arena.fit_cases import add_vote

pytestmark = pytest.mark.django_db

Queries = Callable[..., Any]


def client_of(name: str = "ada") -> Client:
    client = Client()
    client.force_login(make_user(name))
    return client


def page_of(study: Study, client: Client | None = None, **headers: str) -> str:
    response = (client or client_of()).get(reverse("arena:study", args=[study.slug]), headers=headers)
    assert response.status_code == 200
    return str(response.content.decode())


def chart_address(study: Study, name: str = "forest-prompt-following", suffix: str = "svg") -> str:
    return reverse("arena:chart", args=[study.slug, name, suffix])


def voted_study(contenders: int = 4, **options: Any) -> Study:
    study = make_study(contenders=contenders, prompts=8, images=False, copies=False, **options)
    bulk_votes(study, raters=8, ballots_per_rater=40, strengths=[0.5 * index for index in range(contenders)])
    fitting.refit(study)
    return study


def test_numbers_on_the_page_are_those_of_the_fit() -> None:
    study = voted_study()
    page = html.unescape(page_of(study))
    for row in results_of(study)[0].rows:
        cells = "baseline" if row.is_baseline else row.against_baseline.percent
        chances = row.outcomes.percents if row.outcomes else "–"
        line = rf"{row.label}</th>\s*<td[^>]*>{re.escape(cells)}</td>\s*<td>{re.escape(chances)}</td>\s*<td>{row.ranks}</td><td>{row.tier}</td><td>{re.escape(row.strength.number)}</td><td>{row.votes}</td>"  # noqa: E501
        assert re.search(line, page), line
    for line_of_cells in results_of(study)[0].matrix:
        for cell in line_of_cells:
            assert re.search(rf">{re.escape(cell.percent)}<", page)


@pytest.mark.once
def test_step_curves_stand_in_a_table_with_evaluations_and_seconds() -> None:
    study = make_study(contenders=4, prompts=8)
    bulk_votes(study, raters=4)
    fitting.refit(study)
    page, _ = page_of(study).split("Every pair of contenders")
    assert re.findall(r'<th scope="row">(\d+)</th>', page) == ["1", "2", "4", "8"]
    assert re.findall(r"<td>(\d+)</td>\s*<td>([\d.]+)</td>\s*</tr>", page) == [
        ("1", "0.50"),
        ("2", "1.00"),
        ("4", "2.00"),
        ("8", "4.00"),
    ]


def test_the_page_names_study_state_votes_raters_prompts_and_images() -> None:
    page = page_of(make_study(contenders=3, prompts=4))
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(\d+)", page))
    assert facts == {"votes by people": "0", "contenders": "3", "prompts": "4", "images": "12"}
    assert '<span class="badge ok">Open</span>' in page


def test_missing_images_are_shown_as_progress() -> None:
    page = page_of(make_study(contenders=3, prompts=4, images=False, copies=False))
    assert '<progress value="0" max="12"' in page
    assert "python manage.py generate colours" in page


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("draft", "Not open yet"), ("open", "No votes yet"), ("closed", "nobody has voted")],
)
def test_without_votes_the_page_says_what_to_do_next(state: str, sentence: str) -> None:
    study = make_study(images=False, copies=False, opened=state != "draft")
    Study.objects.filter(pk=study.pk).update(state=state)
    page = page_of(study)
    assert sentence in page
    assert "<picture" not in page


def test_votes_that_no_fit_has_seen_are_announced() -> None:
    study = make_study(images=False, copies=False)
    bulk_votes(study)
    assert "180 votes by 6 people came in" in page_of(study)


def linked_in_parts(contenders: int, *boards: tuple[int, int]) -> Study:
    """A study in which only the contenders of each of these pairs met."""
    study = make_study(contenders=contenders, images=False, copies=False)
    for rater in [make_rater(study) for _ in range(3)]:
        for one, other in boards:
            for prompt in (0, 1, 2):
                for choice in ("left", "tie", "right"):
                    add_vote(study, rater, left=one, right=other, choice=choice, prompt=prompt)
                    add_vote(study, rater, left=other, right=one, choice=choice, prompt=prompt)
    fitting.refit(study)
    return study


@pytest.mark.once
def test_boards_that_no_vote_links_stand_apart_with_the_reason() -> None:
    page = html.unescape(page_of(linked_in_parts(5, (0, 1), (2, 3))))
    assert "Board 1 of 2, which no vote links with the others" in page
    assert "Board 2 of 2, which no vote links with the others" in page
    assert "Compared with nobody yet" in page
    assert page.count('<td class="muted">not comparable</td>') == 2
    assert page.count('<td class="muted">not yet comparable: no votes</td>') == 1
    assert "No chain of votes links" in page


@pytest.mark.once
def test_a_strength_that_only_the_penalty_bounds_is_tagged_with_the_reason() -> None:
    study = make_study(contenders=3, images=False, copies=False)
    bulk_votes(study, strengths=[0, 0, 50], tie_share=0)
    fitting.refit(study)
    page = page_of(study)
    assert '<span class="tag">penalised</span>' in page
    assert "never lost to or tied with" in page
    assert "Firth&#x27;s penalised likelihood was used" in page


@pytest.mark.once
def test_side_bias_and_models_of_ties_are_told() -> None:
    study = voted_study()
    shown = results_of(study)[0]
    page = html.unescape(page_of(study))
    assert f"Of two equals, the one on the left is preferred {shown.left_share.percent} of the time" in page
    assert shown.tie_models is not None
    assert f"{shown.tie_models.sentence}." in page


def test_a_fit_of_the_first_version_can_still_be_read_and_is_refitted() -> None:
    study = voted_study()
    (fit,) = Fit.objects.filter(study=study)
    old = dict(fit.results)
    for name in ("version", "unbounded", "estimator", "side_bias", "ties", "goodness", "choix_difference"):
        del old[name]
    kept = {"estimate", "id", "low", "high"}
    old["against_baseline"] = [{key: each[key] for key in kept} for each in old["against_baseline"]]
    old["contenders"] = [
        {**{key: each[key] for key in each if key not in ("tier", "board", "flags")}, "group": 0}
        for each in old["contenders"]
    ]
    Fit.objects.filter(pk=fit.pk).update(results=old, options={"method": 1}, options_digest="1" * 64)

    page = page_of(study)
    assert "the method have changed since this estimate" in page
    for row in results_of(study)[0].rows:
        assert row.strength.number in html.unescape(page)
    assert fitting.refit_changed_studies() != []
    assert "the method have changed since this estimate" not in page_of(study)


@pytest.mark.once
@pytest.mark.parametrize("name", ["forest-prompt-following", "matrix-prompt-following", "steps-prompt-following"])
def test_every_chart_of_the_page_can_be_fetched(name: str) -> None:
    study = voted_study()
    client = client_of()
    page = page_of(study, client)
    addresses = {html.unescape(each) for each in re.findall(rf'(?:src|srcset)="([^"]*{name}[^"]*)"', page)}
    assert len(addresses) == 4
    for address in addresses:
        response = client.get(address)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "image/svg+xml"
        assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"


@pytest.mark.once
def test_a_chart_that_has_not_changed_is_not_sent_again() -> None:
    study = voted_study()
    client = client_of()
    first = client.get(chart_address(study))
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = client.get(chart_address(study), headers={"If-None-Match": first.headers["ETag"]})
    assert [again.status_code, again.content] == [304, b""]
    bulk_votes(study, raters=1, seed=5)
    fitting.refit(study)
    assert client.get(chart_address(study), headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


@pytest.mark.once
@pytest.mark.parametrize(("suffix", "kind"), [("png", "image/png"), ("pdf", "application/pdf")])
def test_a_chart_can_be_downloaded_in_other_formats(suffix: str, kind: str) -> None:
    study = voted_study()
    response = client_of().get(chart_address(study, suffix=suffix))
    assert response.headers["Content-Type"] == kind
    assert response.headers["Content-Disposition"] == f'inline; filename="colours-forest-prompt-following.{suffix}"'


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "suffix"),
    [("forest-nothing", "svg"), ("nothing", "svg"), ("forest-aesthetics", "svg"), ("forest-prompt-following", "exe")],
)
def test_unknown_charts_and_formats_are_not_found(name: str, suffix: str) -> None:
    assert client_of().get(chart_address(voted_study(), name, suffix)).status_code == 404


def test_another_researcher_finds_neither_page_nor_charts_nor_switch() -> None:
    study = voted_study()
    stranger = client_of("eve")
    assert stranger.get(reverse("arena:study", args=[study.slug])).status_code == 404
    assert stranger.get(chart_address(study)).status_code == 404
    assert stranger.post(reverse("arena:count_simulated", args=[study.slug]), {"counts": "no"}).status_code == 404
    assert Study.objects.get().counts_simulated is True


def test_a_member_sees_page_and_charts() -> None:
    study = voted_study()
    StudyMember.objects.create(study=study, user_id=make_user("grace").pk, role=StudyMember.Role.ANALYST)
    assert "colours-0" in page_of(study, client_of("grace"))
    assert client_of("grace").get(chart_address(study)).status_code == 200


@pytest.mark.once
def test_who_is_not_signed_in_is_sent_to_sign_in() -> None:
    study = voted_study()
    for address in (reverse("arena:study", args=[study.slug]), chart_address(study)):
        response = Client().get(address)
        assert response.status_code == 302
        assert response.headers["Location"].startswith(reverse("arena:login"))


@pytest.mark.once
def test_labels_and_names_are_escaped() -> None:
    study = voted_study()
    Contender.objects.filter(study=study, position=1).update(label="<script>alert(1)</script>")
    Study.objects.filter(pk=study.pk).update(name="<b>bold</b>")
    page = page_of(study)
    assert "<script>alert" not in page
    assert "<b>bold</b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.once
def test_no_style_and_no_script_stands_in_the_page() -> None:
    page = page_of(voted_study())
    assert not re.search(r"\sstyle=|<style|\son\w+=", page)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)


@pytest.mark.once
def test_the_page_asks_for_changes_while_a_study_is_open() -> None:
    study = voted_study()
    assert 'hx-trigger="every 10s"' in page_of(study)
    Study.objects.filter(pk=study.pk).update(state=Study.State.CLOSED)
    Contender.objects.filter(study=study).update(withdrawn_at="2026-01-01T00:00Z")
    assert "hx-trigger" not in page_of(study)


def test_a_refresh_brings_the_fragment_only_when_something_changed() -> None:
    study = voted_study()
    client = client_of()
    page = page_of(study, client)
    found = re.search(r'hx-get="([^"]+)"', page)
    assert found is not None
    address = html.unescape(found[1])

    same = client.get(address, headers={"HX-Request": "true"})
    assert [same.status_code, same.content] == [204, b""]

    bulk_votes(study, raters=1, seed=5)
    changed = client.get(address, headers={"HX-Request": "true"})
    assert changed.status_code == 200
    assert changed.content.decode().strip().startswith('<div id="results"')
    assert "<html" not in changed.content.decode()
    assert "HX-Request" in changed.headers["Vary"]


def test_simulated_raters_are_named_and_can_be_left_out_and_counted() -> None:
    study = voted_study()
    bulk_votes(study, raters=2, seed=3, kind=Rater.Kind.SIMULATED)
    fitting.refit(study)
    client = client_of()
    page = page_of(study, client)
    assert "Simulated raters are counted here." in page
    assert "80 of 400 votes" not in page
    assert "60 of 380 votes come from 2 simulated raters" in page

    switch = reverse("arena:count_simulated", args=[study.slug])
    assert client.post(switch, {"counts": "no"}, follow=True).redirect_chain == [
        (reverse("arena:study", args=[study.slug]), 302)
    ]
    page = page_of(study, client)
    assert "are left out. The numbers below are people" in page
    assert results_of(Study.objects.get())[0].votes == 320

    client.post(switch, {"counts": "yes"})
    assert results_of(Study.objects.get())[0].votes == 380
    acts = AuditEvent.objects.filter(act__startswith="simulated raters").values_list("act", "actor__username")
    assert sorted(acts) == [("simulated raters counted", "ada"), ("simulated raters left out", "ada")]


def test_only_owners_are_offered_the_switch() -> None:
    study = voted_study()
    bulk_votes(study, raters=2, seed=3, kind=Rater.Kind.SIMULATED)
    study.members.create(user=make_user("ana"), role="analyst")
    switch, page = reverse("arena:count_simulated", args=[study.slug]), page_of(study, client_of("ana"))
    assert "Simulated raters are counted here." in page and switch not in page and "Leave simulated" not in page
    assert switch in page_of(study, client_of())
    refused = client_of("ana").post(switch, {"counts": "no"})
    assert refused.status_code == 403 and Study.objects.get(pk=study.pk).counts_simulated


@pytest.mark.once
def test_the_switch_takes_only_post() -> None:
    study = voted_study()
    assert client_of().get(reverse("arena:count_simulated", args=[study.slug])).status_code == 405


def test_leaving_out_all_votes_there_are_says_how_to_go_on() -> None:
    study = make_study(images=False, copies=False)
    bulk_votes(study, kind=Rater.Kind.SIMULATED)
    fitting.set_counts_simulated(study, counts=False, actor=None)
    assert "All votes so far are simulated" in page_of(study)


@pytest.mark.parametrize("contender_count", [2, 6])
def test_the_page_costs_the_same_number_of_queries_for_any_number_of_contenders(
    contender_count: int, django_assert_num_queries: Queries
) -> None:
    study = voted_study(contenders=contender_count)
    client = client_of()
    cache.clear()
    with django_assert_num_queries(34):
        page_of(study, client)


@pytest.mark.once
def test_many_reasons_are_folded_away_behind_their_number() -> None:
    page = page_of(linked_in_parts(5, (0, 1)))
    assert "3 of 5 contenders cannot be compared with colours-0, 1 steps yet." in page
    assert '<details id="prompt-following-reasons">' in page
    assert page.count("No chain of votes links") == 4
