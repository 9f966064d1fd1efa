"""`manage.py plan`: votes for a difference, the difference for votes, the power for both."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("plan", *arguments, stdout=out)
    return out.getvalue()


def answered(*arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(printed(*arguments, "--json"))
    return answer


def test_votes_for_a_difference() -> None:
    found = answered("--difference", "0.55")
    assert (found["votes"], found["votes_needed"], found["difference"]) == (783, 783, 0.55)
    assert found["power"] == pytest.approx(0.8, abs=1e-3)
    assert printed("--difference", "0.55").splitlines() == [
        "Plan: 2 contenders; 95% intervals.",
        "783 votes show a win rate of 55.00% among decisive votes with a power of 80.0%.",
        "A decisive win rate near one half is then known to +-3.5 points.",
    ]


def test_ties_and_contenders_take_more_votes() -> None:
    found = answered("--difference", "0.55", "--ties", "0.25", "--contenders", "4")
    assert found["votes"] == 3131
    assert found["votes_per_pair"] == pytest.approx(3131 / 6)
    assert found["win_probability"] == pytest.approx(0.5375)
    assert "(a win probability of 53.75% with ties as half wins)" in printed("--difference", "0.55", "--ties", "0.25")


def test_the_difference_that_votes_show() -> None:
    found = answered("--votes", "783")
    assert found["difference"] == pytest.approx(0.55, abs=1e-4)
    assert found["votes_needed"] is None
    found = answered("--votes", "384", "--votes-per-cell", "3")
    assert (round(found["half_width"], 3), found["design_effect"]) == (0.069, pytest.approx(1.9))


def test_the_power_of_votes_for_a_difference() -> None:
    found = answered("--votes", "400", "--difference", "0.55")
    assert (found["votes"], found["votes_needed"], round(found["power"], 2)) == (400, 783, 0.52)
    assert "A power of 80% takes 783 votes." in printed("--votes", "400", "--difference", "0.55")


def test_too_few_raters_are_said_to_be_so() -> None:
    found = answered("--difference", "0.52", "--raters", "20")
    assert (found["votes"], found["power"], found["fewest_raters"]) == (None, None, 493)
    assert "at least 493 raters are needed" in printed("--difference", "0.52", "--raters", "20")


def test_simulated_studies_agree_with_the_formula() -> None:
    found = answered("--difference", "0.6", "--simulate", "300")["simulation"]
    assert found["worlds"] == 300
    assert abs(found["power"] - 0.8) < 4 * found["standard_error"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "Say what the study is to show"),
        (["--difference", "0.5"], "The win rate of the better contender lies between 0.5 and 1"),
        (["--votes", "100", "--prompts", "10", "--votes-per-cell", "2"], "Give the number of prompts or the votes per"),
        (["--votes", "100", "--raters", "2"], "The number of raters must be between 3"),
    ],
)
def test_plans_that_cannot_be_are_refused(options: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        printed(*options)


@pytest.mark.parametrize("options", [["--difference", "1.2"], ["--votes", "many"], ["--ties", "nan"]])
def test_options_out_of_range_are_refused(options: list[str]) -> None:
    with pytest.raises(CommandError, match="must be a"):
        printed(*options)
