"""Studies of very many contenders: what fits keep of their pairs, and what pages show of their boards."""

import html
import re

import numpy as np
import pytest
from django.urls import reverse

from arena import charts, fit_results, fitting, front_sorting, leaderboard, shortening, study_page
from arena.fitted_pairs import FittedPairs, packed_pairs
from arena.leaderboard import results_of
from arena.models import Fit, FrontSorting, Study
from arena.ranking.intervals import Intervals
from arena.ranking.structure import NotComparable
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import make_study
from tests.arena.views.test_results import client_of, page_of

CONTENDERS = 7


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if seven contenders were a thousand."""
    for module in (fit_results, front_sorting, leaderboard):
        monkeypatch.setattr(module, "MOST_LISTED", 3)
    for module in (shortening, study_page):
        monkeypatch.setattr(module, "MOST_WHOLE", 3)
    monkeypatch.setattr(shortening, "FIRST", 2)
    monkeypatch.setattr(shortening, "_NEIGHBOURS", 0)


def voted_study() -> Study:
    study = make_study(contenders=CONTENDERS, prompts=8, images=False, copies=False)
    bulk_votes(study, raters=6, ballots_per_rater=30, strengths=[0.4 * index for index in range(CONTENDERS)])
    return study


@pytest.mark.django_db
def test_packed_pairs_say_what_listed_ones_said(few_are_many: None, monkeypatch: pytest.MonkeyPatch) -> None:
    study = voted_study()
    with monkeypatch.context() as usual:
        usual.setattr(fit_results, "MOST_LISTED", 200)
        (fit,) = fitting.refit(study)
        listed = FittedPairs(fit.results)
    Fit.objects.all().delete()
    (fit,) = fitting.refit(study)
    packed = FittedPairs(fit.results)

    assert fit.results["win_probability"] is fit.results["observed"] is fit.results["covariance"] is None
    ids = [entry["id"] for entry in fit.results["contenders"]]
    for one in ids:
        for other in ids:
            assert packed.share(one, other) == pytest.approx(listed.share(one, other), abs=1e-6)
            assert packed.seen(one, other) == listed.seen(one, other)
    assert packed.share(ids[0], 0) == (None, None, None)
    few = [ids[4], ids[1], ids[6]]
    covariance = packed.covariance(few)
    assert covariance is not None
    np.testing.assert_allclose(covariance, np.array(listed.covariance(few)), rtol=1e-6)


def test_uneven_ends_and_missing_intervals_of_packed_pairs_are_kept() -> None:
    strengths = np.array([0.5, 0.0, -0.5])
    gaps = strengths[:, None] - strengths
    low, high = gaps - 0.2, gaps + 0.2
    high[0, 1], low[1, 0] = np.inf, -np.inf
    low[2, 0] = high[2, 0] = low[0, 2] = high[0, 2] = np.nan
    told = packed_pairs(Intervals(gaps, low, high), np.eye(3), np.zeros((3, 3, 2), dtype=int))
    contenders = [
        {"id": place, "log_strength": strength, "board": 0} for place, strength in enumerate(strengths.tolist())
    ]
    pairs = FittedPairs({"contenders": contenders, "win_probability": None, "observed": None, "pairs": told})

    def chance(odds: float) -> float:
        return float(1 / (1 + np.exp(-odds)))

    assert pairs.share(0, 1) == pytest.approx((chance(0.5), chance(0.3), 1.0))
    assert pairs.share(1, 0) == pytest.approx((chance(-0.5), 0.0, chance(-0.3)))
    assert pairs.share(1, 2) == pytest.approx((chance(0.5), chance(0.3), chance(0.7)))
    assert pairs.share(0, 2) == (chance(1.0), None, None)


@pytest.mark.django_db
def test_a_long_board_shows_its_top_the_baseline_and_whom_one_looks_for(few_are_many: None) -> None:
    study = voted_study()
    fitting.refit(study)
    (results, *_) = results_of(study)
    labels = [row.label for row in results.rows]
    baseline = next(row.label for row in results.rows if row.is_baseline)
    wanted = labels[3]

    def listed(page: str) -> list[str]:
        board = page.split("all contenders")[1].split("</table>")[0]
        return re.findall(r'<th scope="row">([^<]*)</th>', html.unescape(board))

    page = page_of(study)
    assert listed(page) == [*labels[:2], baseline]
    first_board = page.split("</table>")[0]
    assert sum(int(number) for number in re.findall(r">(\d+) more<", first_board)) == CONTENDERS - 3
    assert "21 pairs, too many to list" in page
    assert "Every pair of contenders" not in page
    assert charts.matrix_chart(results) is None

    address = reverse("arena:study", args=[study.slug])
    page = html.unescape(client_of().get(address, {"contender": wanted.upper()}).content.decode())
    assert listed(page) == [*labels[:2], wanted, baseline]
    duels = page.split(f"{wanted} against</th>")[1].split("</table>")[0]
    share = results.between(results.rows[3].contender, results.rows[0].contender)
    assert f'<th scope="row">{labels[0]}</th><td>{share.percent}</td>' in duels
    assert "holds “nobody”" in html.unescape(client_of().get(address, {"contender": "nobody"}).content.decode())

    data = client_of().get(reverse("arena:chart", args=[study.slug, "forest-prompt-following", "csv"]))
    assert len(data.content.decode().splitlines()) == CONTENDERS


@pytest.mark.django_db
def test_fronts_of_many_are_sorted_and_not_resampled(few_are_many: None) -> None:
    study = make_study(contenders=4, prompts=4, images=False, copies=False)
    for criterion in study.criteria.all()[:2]:
        bulk_votes(study, criterion=criterion, raters=3, ballots_per_rater=40, strengths=[0.0, 1.0, 2.0, 3.0])
    fitting.refit(study)
    results = FrontSorting.objects.get().results
    assert [entry["front"] for entry in results["contenders"]] == [4, 3, 2, 1]
    assert all(entry["shares"] == [] for entry in results["contenders"])
    assert results["notes"] == ["Among so many contenders it is not worked out how firmly the fronts hold."]


def test_a_sentence_about_hundreds_names_the_first() -> None:
    names = [f"c{place}" for place in range(300)]
    reason = NotComparable("unlinked", (0,), tuple(range(1, 300)))
    assert reason.sentence(names) == (
        "No chain of votes links c0 with c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 and 289 others."
    )
