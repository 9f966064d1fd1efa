"""`manage.py rank FILE`: published tables come out as published, through the public command and without a database."""

import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command, load_command_class

from tests.arena.ranking.tables import BASEBALL, CITATIONS, WIKIPEDIA, Row

COUNTS = "left,right,wins_left,ties,wins_right"
JOURNALS = ("Biometrika", "Comm Statist", "JASA", "JRSS-B")
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
CRITERION_KEYS = [
    *("criterion", "votes", "raters", "prompts", "ties", "side_bias", "estimator", "cluster", "skips", "both_bad"),
    *("log_likelihood", "deviance", "degrees_of_freedom", "warnings", "components"),
]
CONTENDER_KEYS = [
    *("name", "log_strength", "standard_error", "low", "high", "rank_low", "rank_high", "tier", "flags"),
]


def printed(*arguments: object) -> str:
    out = io.StringIO()
    call_command("rank", *map(str, arguments), stdout=out)
    return out.getvalue()


def ranked(folder: Path, text: str, *options: str) -> list[dict[str, Any]]:
    path = folder / "votes.csv"
    path.write_text(text)
    document = json.loads(printed(path, "--json", *options))
    assert document["version"] == 1
    criteria: list[dict[str, Any]] = document["criteria"]
    return criteria


def counts(rows: list[Row], names: tuple[str, ...]) -> str:
    return "\n".join([COUNTS, *(f"{names[a]},{names[b]},{won},{tied},{lost}" for a, b, won, tied, lost in rows)])


def votes(*each: tuple[str, int]) -> str:
    """Votes by "left,right,choice" and how often, each by a rater of its own."""
    lines = [line for line, number in each for _ in range(number)]
    return "\n".join(["left,right,choice,rater", *(f"{line},r{number}" for number, line in enumerate(lines))])


def strengths(criterion: dict[str, Any], component: int = 0) -> dict[str, float]:
    return {one["name"]: one["log_strength"] for one in criterion["components"][component]["contenders"]}


def test_citations_of_journals(tmp_path: Path) -> None:
    (found,) = ranked(tmp_path, counts(CITATIONS, JOURNALS))
    own = strengths(found)
    against = {name: round(own[name] - own["Biometrika"], 4) for name in JOURNALS}
    assert against == {"Biometrika": 0, "Comm Statist": -2.9491, "JASA": -0.4796, "JRSS-B": 0.2690}
    assert (round(found["deviance"], 2), found["degrees_of_freedom"], found["estimator"]) == (4.29, 3, "mle")
    assert (found["side_bias"], found["votes"], found["cluster"]) == (None, 3727, {"by": [], "effective": 3727.0})


def test_the_example_of_wikipedia(tmp_path: Path) -> None:
    (found,) = ranked(tmp_path, counts(WIKIPEDIA, ("A", "B", "C", "D")))
    own = strengths(found)
    assert list(own) == ["D", "B", "C", "A"]
    assert {name: round(math.exp(own[name]), 3) for name in "ABCD"} == {"A": 0.640, "B": 1.043, "C": 0.660, "D": 2.270}
    assert sum(own.values()) == pytest.approx(0, abs=1e-12)


def test_baseball_at_home_and_away(tmp_path: Path) -> None:
    text = counts(BASEBALL, TEAMS)
    (home,) = ranked(tmp_path, text, "--side-bias")
    own = strengths(home)
    share = {name: math.exp(own[name]) / sum(map(math.exp, own.values())) for name in TEAMS}
    assert [round(share[name], 3) for name in TEAMS] == [0.220, 0.190, 0.164, 0.157, 0.137, 0.088, 0.044]
    assert round(home["side_bias"]["estimate"], 3) == 0.302
    assert home["side_bias"]["standard_error"] == pytest.approx(0.131, abs=1e-3)
    assert (round(home["deviance"], 2), home["degrees_of_freedom"]) == (38.64, 35)
    (neutral,) = ranked(tmp_path, text)
    assert (neutral["side_bias"], neutral["degrees_of_freedom"]) == (None, 15)
    assert "(44.05 on 36 by ordered pairs)" in printed(tmp_path / "votes.csv")


def test_the_document_has_its_shape(tmp_path: Path) -> None:
    (found,) = ranked(tmp_path, counts(WIKIPEDIA, ("A", "B", "C", "D")))
    assert list(found) == CRITERION_KEYS
    (component,) = found["components"]
    assert [list(one) for one in component["contenders"]] == [CONTENDER_KEYS] * 4
    assert list(component) == ["contenders", "win_probability"]
    win = component["win_probability"]
    assert list(win) == ["estimate", "low", "high"]
    estimate = np.array(win["estimate"], dtype=float)
    assert [[win[key][one][one] for one in range(4)] for key in win] == [[None] * 4] * 3
    own = np.array(list(strengths(found).values()))
    expected = 1 / (1 + np.exp(own[None, :] - own[:, None]))
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(estimate, expected, atol=1e-12)
    low, high = np.array(win["low"], dtype=float), np.array(win["high"], dtype=float)
    off = ~np.eye(4, dtype=bool)
    assert (low[off] < estimate[off]).all() and (estimate[off] < high[off]).all()
    np.testing.assert_allclose(low[off], 1 - high.T[off], atol=1e-12)


def test_a_tie_model_gives_its_parameter_and_halves_ties_in_the_win_probability(tmp_path: Path) -> None:
    text = f"{COUNTS}\nA,B,6,4,3\n"
    (davidson,) = ranked(tmp_path, text, "--ties", "davidson")
    assert strengths(davidson)["A"] == pytest.approx(math.log(2) / 2)
    assert davidson["ties"]["model"] == "davidson"
    assert davidson["ties"]["parameter"] == pytest.approx(4 / math.sqrt(18))
    likelihood = 6 * math.log(6 / 13) + 4 * math.log(4 / 13) + 3 * math.log(3 / 13)
    assert davidson["ties"]["log_likelihood"] == davidson["log_likelihood"] == pytest.approx(likelihood)
    for model in ("davidson", "rao-kupper", "half"):
        (found,) = ranked(tmp_path, text, "--ties", model)
        assert found["components"][0]["win_probability"]["estimate"][0][1] == pytest.approx(8 / 13)
    (decisive,) = ranked(tmp_path, text, "--ties", "drop")
    assert decisive["components"][0]["win_probability"]["estimate"][0][1] == pytest.approx(6 / 9)
    assert decisive["ties"] == {"model": "drop", "parameter": None, "log_likelihood": None}


def test_the_table_shows_the_likelihood_of_both_models_of_ties(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(f"{COUNTS}\nA,B,6,4,3\n")
    assert "models of ties: Davidson -13.75, Rao-Kupper -13.75" in printed(tmp_path / "votes.csv")


def test_votes_have_a_side_bias_unless_it_is_refused(tmp_path: Path) -> None:
    text = votes(("A,B,left", 60), ("A,B,right", 20), ("B,A,left", 40), ("B,A,right", 40))
    (found,) = ranked(tmp_path, text)
    assert found["side_bias"]["estimate"] == pytest.approx(math.log(3) / 2)
    assert found["components"][0]["win_probability"]["estimate"][0][1] == pytest.approx(1 / (1 + 3**-0.5))
    (without,) = ranked(tmp_path, text, "--no-side-bias")
    assert without["side_bias"] is None
    assert without["components"][0]["win_probability"]["estimate"][0][1] == pytest.approx(100 / 160)


def test_swapping_all_sides_turns_the_side_bias_and_nothing_else(tmp_path: Path) -> None:
    text = votes(("A,B,left", 30), ("B,C,right", 9), ("C,A,left", 12), ("B,C,left", 8), ("B,A,tie", 5), ("A,C,left", 9))
    other = {"left": "right", "right": "left", "tie": "tie"}
    head, *lines = text.splitlines()
    turned = [f"{b},{a},{other[choice]},{rater}" for a, b, choice, rater in (line.split(",") for line in lines)]
    (one,), (two,) = ranked(tmp_path, text), ranked(tmp_path, "\n".join([head, *turned]))
    assert one["side_bias"]["estimate"] == pytest.approx(-two["side_bias"]["estimate"])
    assert strengths(one) == pytest.approx(strengths(two))


def test_skips_are_counted_and_both_bad_is_a_tie_or_left_out(tmp_path: Path) -> None:
    text = votes(("A,B,left", 5), ("B,A,right", 4), ("A,B,right", 3), ("B,A,both_bad", 6), ("A,B,skip", 2))
    (tied,) = ranked(tmp_path, text, "--no-side-bias")
    assert (tied["votes"], tied["skips"], tied["both_bad"]) == (18, 2, 6)
    assert tied["components"][0]["win_probability"]["estimate"][0][1] == pytest.approx(12 / 18)
    (dropped,) = ranked(tmp_path, text, "--no-side-bias", "--both-bad", "drop")
    assert (dropped["votes"], dropped["skips"], dropped["both_bad"]) == (18, 2, 6)
    assert dropped["components"][0]["win_probability"]["estimate"][0][1] == pytest.approx(9 / 12)
    table = printed(tmp_path / "votes.csv", "--both-bad", "drop")
    assert '18 votes, 2 contenders, 18 raters, 6 "both bad" (left out), 2 skips besides' in table


def test_contenders_without_a_link_are_boards_of_their_own(tmp_path: Path) -> None:
    pairs = [("C,D,left", 4), ("C,D,right", 2), ("A,B,left", 3), ("A,B,right", 5), ("E,D,left", 1), ("E,D,right", 2)]
    (found,) = ranked(tmp_path, votes(*pairs, ("A,F,skip", 1)), "--no-side-bias")
    assert [list(strengths(found, which)) for which in range(3)] == [["C", "D", "E"], ["B", "A"], ["F"]]
    sizes = [np.array(part["win_probability"]["estimate"]).shape for part in found["components"]]
    assert sizes == [(3, 3), (2, 2), (1, 1)]
    assert "No chain of votes links A and B with C, D, E and F." in found["warnings"]
    (alone,) = found["components"][2]["contenders"]
    assert alone == {
        **{"name": "F", "log_strength": 0.0, "standard_error": None, "low": None, "high": None},
        **{"rank_low": 1, "rank_high": 1, "tier": 1, "flags": ["alone"]},
    }
    table = printed(tmp_path / "votes.csv", "--no-side-bias")
    assert "Board 2 of 2, which no vote links" in table and "Compared with nobody: F" in table


def test_who_never_lost_has_a_finite_strength_and_a_flag(tmp_path: Path) -> None:
    (found,) = ranked(tmp_path, f"{COUNTS}\nA,B,5,0,0\n")
    own = strengths(found)
    assert own["A"] - own["B"] == pytest.approx(math.log(11))
    assert found["estimator"] == "firth"
    assert found["components"][0]["contenders"][0]["flags"] == ["undefeated", "firth"]
    assert any("never lost to or tied with" in sentence for sentence in found["warnings"])


def test_criteria_are_ranked_apart_and_can_be_chosen(tmp_path: Path) -> None:
    text = f"criterion,{COUNTS}\nlooks,A,B,7,0,3\ntext,A,B,3,0,7\n"
    both = ranked(tmp_path, text)
    assert [one["criterion"] for one in both] == ["looks", "text"]
    assert strengths(both[0])["A"] == pytest.approx(math.log(7 / 3) / 2)
    assert strengths(both[1])["A"] == pytest.approx(-math.log(7 / 3) / 2)
    assert ranked(tmp_path, text, "--criterion", "text") == both[1:]


def test_a_weight_is_a_number_of_votes_and_may_be_a_fraction(tmp_path: Path) -> None:
    weighted = "left,right,choice,weight\nA,B,left,7.5\nA,B,tie,1\nA,B,right,2.5\n"
    (found,) = ranked(tmp_path, weighted, "--no-side-bias")
    assert found["components"][0]["win_probability"]["estimate"][0][1] == pytest.approx(8 / 11)
    whole = "left,right,choice,weight\nA,B,left,700\nA,B,right,300\n"
    (found,) = ranked(tmp_path, whole, "--no-side-bias")
    (counted,) = ranked(tmp_path, f"{COUNTS}\nA,B,700,0,300\n")
    assert found["components"] == counted["components"]


RATERS = ["left,right,choice,rater,prompt"] + [
    f"{'A,B' if vote % 2 else 'B,A'},{'left' if (rater < 14) == bool(vote % 2) else 'right'},r{rater},p{vote}"
    for rater in range(20)
    for vote in range(10)
]


def test_votes_cluster_by_what_the_file_names(tmp_path: Path) -> None:
    text = "\n".join(RATERS)
    errors = {}
    for option in ("rater,prompt", "rater", "prompt", "none"):
        (found,) = ranked(tmp_path, text, "--cluster", option)
        assert found["cluster"]["by"] == ([] if option == "none" else option.split(","))
        errors[option] = found["components"][0]["contenders"][0]["standard_error"]
    assert ranked(tmp_path, text) == ranked(tmp_path, text, "--cluster", "rater,prompt")
    # Each rater always votes alike: twenty raters, and not two hundred votes.
    assert errors["rater"] > 2.5 * errors["none"]
    (found,) = ranked(tmp_path, text, "--cluster", "rater")
    assert (found["raters"], found["prompts"], found["cluster"]["effective"]) == (20, 10, 20.0)
    assert found["warnings"] == []


def test_a_cycle_is_said_to_be_one(tmp_path: Path) -> None:
    (found,) = ranked(tmp_path, f"{COUNTS}\nA,B,80,0,20\nB,C,80,0,20\nC,A,80,0,20\n", "--cluster", "none")
    assert list(strengths(found).values()) == pytest.approx([0, 0, 0], abs=1e-12)
    assert found["warnings"] == [
        "A beats B, B beats C and C beats A: no ranking can say so.",
        "The model fits badly by the deviance (p < 0.001): differences rest on a form that does not hold.",
    ]


def test_one_rater_gives_no_interval_and_a_sentence(tmp_path: Path) -> None:
    text = "left,right,choice,rater\n" + "A,B,left,ann\n" * 6 + "B,A,left,ann\n" * 3
    (found,) = ranked(tmp_path, text)
    assert [one["low"] for one in found["components"][0]["contenders"]] == [None, None]
    assert any(sentence.startswith("Too few raters stand behind A, B") for sentence in found["warnings"])
    assert any("names no prompts: votes on one prompt" in sentence for sentence in found["warnings"])


def test_a_file_of_skips_ranks_nobody(tmp_path: Path) -> None:
    (found,) = ranked(tmp_path, votes(("A,B,skip", 3)))
    assert (found["votes"], found["skips"], len(found["components"])) == (0, 3, 2)
    assert found["warnings"] == ["No vote counts towards this criterion, so nothing can be compared."]
    assert "Compared with nobody: A, B" in printed(tmp_path / "votes.csv")


def test_scores_are_ranked_without_side_bias(tmp_path: Path) -> None:
    rows = [
        f"p{prompt},{model},r{rater},{score + (prompt + rater) % 2 * (model == 'B') * 2}"
        for prompt in range(6)
        for rater in range(5)
        for model, score in (("A", 3), ("B", 2), ("C", 1))
    ]
    (found,) = ranked(tmp_path, "\n".join(["prompt,model,rater,score", *rows]), "--ties", "davidson")
    assert (found["votes"], found["raters"], found["prompts"], found["side_bias"]) == (90, 5, 6, None)
    assert list(strengths(found))[-1] == "C"
    with pytest.raises(CommandError, match="scores have no sides"):
        printed(tmp_path / "votes.csv", "--side-bias")


def test_the_table_is_one_that_a_person_can_read(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(counts(BASEBALL, ("米尔沃基", *TEAMS[1:])))
    lines = printed(tmp_path / "votes.csv", "--side-bias", "--baseline", "Boston").splitlines()
    assert lines[:2] == [
        "overall: 273 votes, 7 contenders",
        "Bradley-Terry, ties as half wins, with side bias; 95 % intervals, votes taken for independent",
    ]
    assert lines[3] == "rank  contender  log strength  95 % interval     beats Boston  95 % interval     tier"
    assert lines[5] == "1-6   米尔沃基   +0.541        +0.130 to +0.951  61.7 %        46.5 % to 74.9 %  1"
    assert lines[9].rstrip() == "1-6   Boston     +0.065        -0.333 to +0.463  baseline                        1"
    assert "Side bias: +0.302 (standard error 0.131) log odds for the left side" in lines
    assert "Deviance 38.64 on 35 degrees of freedom; log-likelihood -169.54" in lines


def test_a_name_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(f'{COUNTS}\n"A\n\x1b[2J",B,7,0,3\n')
    assert "A\\n\\x1b[2J" in printed(tmp_path / "votes.csv")


def test_bootstrap_errors_stand_beside_the_others(tmp_path: Path) -> None:
    text = counts(CITATIONS, JOURNALS)
    (found,) = ranked(tmp_path, text, "--bootstrap", "2000")
    bootstrap = found["bootstrap"]
    assert (bootstrap["replicates"], bootstrap["penalised"]) == (2000, 0)
    for one, other in zip(found["components"][0]["contenders"], bootstrap["contenders"], strict=True):
        assert one["name"] == other["name"]
        assert other["standard_error"] == pytest.approx(one["standard_error"], rel=0.1)
    assert "bootstrap error" in printed(tmp_path / "votes.csv", "--bootstrap", "50")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--criterion", "looks"], "votes.csv: has no criterion 'looks'; it has overall."),
        (["--baseline", "E"], "votes.csv: has no contender 'E'; it has A, B, C, D."),
        (["--cluster", "rater,prompt"], "votes.csv, criterion overall: names no raters and no prompts to cluster by."),
    ],
)
def test_what_the_file_lacks_is_said(options: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text(counts(WIKIPEDIA, ("A", "B", "C", "D")))
    with pytest.raises(CommandError) as caught:
        printed(tmp_path / "votes.csv", *options)
    assert str(caught.value) == sentence


def manage(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # A database that nobody can reach: asking for it would fail.
    environment = os.environ | {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "WINRATE_DATA_DIR": str(folder)}
    command = [sys.executable, "manage.py", "rank", *arguments]
    return subprocess.run(
        command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False, env=environment, timeout=120
    )


def test_the_command_needs_no_database_and_leaves_one_line_and_a_status_when_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(f"{COUNTS}\nA,B,7,0,3\n")
    good = manage(str(path), "--json", folder=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["criteria"][0]["votes"] == 10
    path.write_text(f"{COUNTS}\nA,B,7,0,3\nB,B,1,0,0\n")
    bad = manage(str(path), folder=tmp_path)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == "CommandError: votes.csv, line 3: 'B' is compared with itself.\n"


@pytest.mark.parametrize("command", ["rank", "plan"])
def test_the_page_about_the_commands_names_every_option(command: str) -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "ranking_cli.md").read_text()
    about = page.split("## `python manage.py ")[{"rank": 1, "plan": 2}[command]]
    parser = load_command_class("arena", command).create_parser("manage.py", command)
    options = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
    own = options - {f"--{name}" for name in DJANGOS_OWN}
    assert own and {name for name in own if f"`{name}" not in about} == set()


def test_the_page_shows_what_the_command_prints(tmp_path: Path) -> None:
    (tmp_path / "citations.csv").write_text(counts(CITATIONS, JOURNALS))
    page = (Path(settings.BASE_DIR) / "docs" / "ranking_cli.md").read_text()
    assert f"```\n{printed(tmp_path / 'citations.csv').rstrip()}\n```" in page


def test_the_page_names_every_key_of_the_document(tmp_path: Path) -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "ranking_cli.md").read_text()
    (found,) = ranked(tmp_path, votes(("A,B,left", 6), ("B,A,left", 4), ("A,B,tie", 2)), "--bootstrap", "10")

    def keys(part: object) -> set[str]:
        if isinstance(part, list):
            return set().union(*map(keys, part))
        return set(part) | set().union(*map(keys, part.values())) if isinstance(part, dict) else set()

    assert {key for key in keys(found) if f'"{key}"' not in page} == set()


DJANGOS_OWN = ("help", "version", "verbosity", "settings", "pythonpath", "traceback", "no-color", "force-color")
