"""`manage.py rank` on files with hardly a vote in them, where numbers have no bounds or do not exist."""

from pathlib import Path

import numpy as np
import pytest

from arena import rank_report
from arena.ranking.newton import ConvergenceError
from tests.arena.commands.test_rank import COUNTS, JOURNALS, counts, printed, ranked
from tests.arena.ranking.tables import CITATIONS

THIN = {
    "all for the left side": "left,right,choice\n1,2,left\n2,1,left\n3,1,left\n",
    "one vote": "left,right,choice\nA,B,left\n",
    "one vote of one rater": "left,right,choice,rater\nA,B,left,r\n",
    "one tie": "left,right,choice\nA,B,tie\n",
    "all ties": "left,right,choice\nA,B,tie\nB,A,tie\nA,C,tie\n",
    "one prompt links": "left,right,choice,prompt\nB,D,left,p1\nB,D,tie,p1\nB,E,tie,p2\nE,A,left,p0\n",
    "one heavy vote": "left,right,choice,weight,rater\nA,B,left,100,r1\nB,C,left,1,r2\nC,A,tie,1,r3\nB,C,right,1,r1\n",
    "one order and few clusters": "left,right,choice,rater\n"
    + "".join(f"{a},{b},left,r{number % 2}\n" for number in range(9) for a, b in ("AB", "AC", "BC")),
}


@pytest.mark.parametrize("case", THIN)
@pytest.mark.parametrize("ties", ["half", "davidson", "rao-kupper", "drop"])
def test_the_thinnest_files_are_ranked_with_numbers_that_mean_something(case: str, ties: str, tmp_path: Path) -> None:
    (found,) = ranked(tmp_path, THIN[case], "--ties", ties)
    assert printed(tmp_path / "votes.csv", "--ties", ties).startswith("overall: ")
    for component in found["components"]:
        win = {key: np.array(matrix, dtype=float) for key, matrix in component["win_probability"].items()}
        np.testing.assert_allclose(win["estimate"] + win["estimate"].T, np.where(np.eye(len(win["low"])), np.nan, 1))
        np.testing.assert_allclose(win["low"], 1 - win["high"].T, atol=1e-4)
        for one in component["contenders"]:
            assert abs(one["log_strength"]) < 40
            assert one["standard_error"] is None or one["standard_error"] < 100
            assert one["low"] is None or one["low"] <= one["log_strength"]
            assert one["high"] is None or one["high"] >= one["log_strength"]
            # What is null is explained.
            named = any(one["name"] in sentence for sentence in found["warnings"])
            assert named or None not in (one["low"], one["high"]) or found["votes"] == 0 or one["flags"] == ["alone"]


def test_an_end_without_a_bound_is_null_in_the_document_and_said_in_words(tmp_path: Path) -> None:
    # Raters as uneven as these are worth little more than two: Student's t reaches further up than votes could tell.
    text = "left,right,choice,rater\n" + "A,B,left,r1\n" * 12 + "A,B,left,r2\n" * 6 + "A,B,left,r3\n" * 2
    (found,) = ranked(tmp_path, text)
    strong, weak = found["components"][0]["contenders"]
    assert strong["low"] < strong["log_strength"] and strong["high"] is None
    assert weak["low"] is None and weak["high"] > weak["log_strength"]
    assert "The votes exclude no strength above for A: the interval has no end there." in found["warnings"]
    assert found["components"][0]["win_probability"]["high"][0][1] == 1.0
    assert " or more" in printed(tmp_path / "votes.csv") and "up to " in printed(tmp_path / "votes.csv")


def test_a_bootstrap_that_fails_leaves_the_board_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ConvergenceError("nothing settled")

    monkeypatch.setattr(rank_report, "replicate", fail)
    (found,) = ranked(tmp_path, counts(CITATIONS, JOURNALS), "--bootstrap", "10")
    assert "bootstrap" not in found and found["components"]
    assert "The bootstrap is left out, because in one of its replicates nothing settled." in found["warnings"]


def test_a_long_name_is_shortened_in_the_table_and_whole_in_the_document(tmp_path: Path) -> None:
    names = [f"/models/{'x' * 80}/{end}" for end in ("first", "second")]
    (found,) = ranked(tmp_path, f"{COUNTS}\n{names[0]},{names[1]},7,0,3\n")
    assert [one["name"] for one in found["components"][0]["contenders"]] == names
    lines = printed(tmp_path / "votes.csv").splitlines()
    assert "…" in lines[5] and "first" in lines[5] and max(map(len, lines[3:7])) < 120


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ties", ["half", "davidson", "rao-kupper", "drop"])
def test_counts_beyond_all_studies_are_ranked_without_a_warning_and_every_number_is_finite(
    ties: str, tmp_path: Path
) -> None:
    (found,) = ranked(tmp_path, f"{COUNTS}\nA,B,999999999999,5,3\nB,C,1e11,2,7\n", "--ties", ties)
    (component,) = found["components"]
    assert found["votes"] == 1_100_000_000_016
    for one in component["contenders"]:
        assert one["low"] < one["log_strength"] < one["high"]
    # Next to certain, and still with an interval.
    ends = [component["win_probability"][name][0][2] for name in ("low", "estimate", "high")]
    assert all(0.99 < end <= 1 for end in ends)
