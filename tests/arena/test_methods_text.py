"""The methods section and the LaTeX table say what the rows say."""

from pathlib import Path

import pytest

from arena import fitting
from arena.latex_table import escaped, latex_table
from arena.leaderboard import results_of
from arena.methods_text import methods_text
from arena.models import Amendment, Exclusion, Study, Vote
from arena.pair_designs import JOINED
from arena.vote_imports import import_votes
from tests.arena.bulk_votes import bulk_votes
from tests.arena.factories import cast, make_rater, make_study
from tests.arena.fit_cases import bare_study

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def text_of(study: Study) -> str:
    fitting.refit(study)
    return methods_text(study, results_of(study)).text


def test_the_section_has_everything_that_otani_et_al_ask_for() -> None:
    study = make_study(contenders=2, prompts=3, rules={"gold_share": 0.1}, ballots_per_rater=20)
    for choice in ("left", "left", "tie"):
        cast(make_rater(study), choice, ballots=3)
    text = text_of(study)
    following = study.criteria.get(key="prompt-following")
    votes = Vote.objects.filter(criterion=following).count()
    assert f"Prompt following: “{following.question}” (options left, right, tie" in text
    assert "3 raters voted: 3 invited by link." in text
    assert "A rater answered at most 20 ballots." in text
    assert "10% of the ballots had a known answer" in text
    assert f"Prompt following: {votes} votes by 3 raters on 3 prompts; answers: left 67%, tie 33%." in text
    assert "3 items (a pair on a prompt) had 3 to 3 votes, median 3." in text
    assert "The median time to an answer was 1.5 s." in text
    assert "Krippendorff's alpha was" in text
    assert "No votes were excluded." in text
    assert f"(SHA-256 {study.frozen_digest})" in text
    assert "Not known to this platform, to be added: how raters were paid" in text


def test_pairs_are_told_as_they_were_chosen() -> None:
    study = make_study(contenders=3, prompts=2, images=False, copies=False)
    text = methods_text(study, results_of(study)).text
    assert "Compared were every two contenders. For each ballot a prompt was drawn with equal chances" in text
    assert "the pair on it was the one shown least so far on that prompt, equals drawn by lot." in text
    assert "no longer shown" not in text and "joined after" not in text and "read instructions" not in text

    study.design = {**study.design, "pair_rule": "uniform", "pairs": "baseline", "target_votes": 3}
    Study.objects.filter(pk=study.pk).update(design=study.design, rater_rules={"instructions": True})
    study.refresh_from_db()
    contender = study.contenders.get(position=2)
    Amendment.objects.create(study=study, change={"act": JOINED, "contender": contender.pk}, reason="late")
    text = methods_text(study, results_of(study)).text
    assert "Compared were each contender with the baseline." in text
    assert "the pair on it was drawn with equal chances." in text
    assert "A pair was no longer shown on a prompt once 3 raters had been asked about it there" in text
    assert "1 contender joined after the study had opened; their pairs came first until" in text
    assert "Each read instructions" not in text  # nobody has voted


def test_rules_without_an_entry_for_instructions_had_none() -> None:
    study = bare_study()
    bulk_votes(study, raters=2, ballots_per_rater=3)
    Study.objects.filter(pk=study.pk).update(rater_rules={})
    study.refresh_from_db()
    assert "read instructions" not in text_of(study)


def test_of_imported_votes_only_what_the_file_says_is_told(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("left,right,choice\n" + "a,b,left\nb,c,left\na,c,right\n" * 4)
    done = import_votes(path, slug="nameless")
    text = text_of(done.study)
    assert "They compare 3 contenders (a; b; c) by " in text
    assert "The file does not tell who gave which vote or on which prompt a vote was given." in text
    assert ": 12 votes; answers: left 67%, right 33%." in text
    assert "with a term for the side" in text
    assert "the votes name neither raters nor prompts by which to cluster" in text
    assert "Not known to this platform, to be added: how votes were asked for" in text
    for untrue in ("fair coin", "shown at", "verbatim", "instructions with", "planted", "by rater", "1 rater"):
        assert untrue not in text

    path.write_text("prompt,model,rater,score\n" + "".join(f"p{n},m{n % 2},r,{n}\np{n},n,r,3\n" for n in range(6)))
    scores = text_of(import_votes(path, slug="scores").study)
    assert "The file does not tell which image stood on the left." in scores
    assert "without a term for the side" in scores
    assert "for other raters and other prompts: jackknifed (CR3) sandwich covariance clustered by rater and" in scores


def test_exclusions_and_simulated_raters_are_told() -> None:
    study = bare_study()
    person, *_ = bulk_votes(study, raters=4)
    bulk_votes(study, raters=4, kind="simulated", seed=2)
    Exclusion.objects.create(study=study, scope="rater", rater=person, reason="asleep")
    text = text_of(study)
    assert "8 raters voted: 4 invited by link, 4 simulated (programs, not people)." in text
    assert "Excluded by a person, with a reason each: 1 rater, 30 votes in all (asleep)." in text
    assert "120 of these votes are by simulated raters." in text


def test_the_table_has_a_line_for_each_contender_with_its_numbers() -> None:
    study = bare_study(contenders=3)
    bulk_votes(study, raters=8, strengths=[0, 0.5, 1])
    study.contenders.filter(position=1).update(label="50% & more_steps")
    fitting.refit(study)
    results = results_of(study)
    table = latex_table(results, label="a b")
    assert r"\label{tab:a-b}" in table
    for row in results[0].rows:
        share = row.against_baseline
        told = "baseline" if row.is_baseline else f"{100 * (share.value or 0):.1f} ["
        assert f"{escaped(row.label)} & {told}" in table
    assert r"50\% \& more\_steps" in table
    assert table.count(r"\\") == 5
    assert table.count("{") == table.count("}")


def test_without_votes_there_is_no_table_and_the_section_says_so() -> None:
    study = bare_study()
    assert latex_table(results_of(study), label="x") == ""
    assert "Nobody has voted yet." in methods_text(study, results_of(study)).text


def test_the_draw_of_the_prompts_is_told_in_words() -> None:
    sampling = {"set": "Shapes", "version": 2, "digest": "ab", "sample": {"count": 3, "seed": 7}}
    study = make_study(contenders=2, prompts=3, design={"sampling": sampling})
    assert "The prompts are of the set “Shapes”, version 2: drawn by count 3, seed 7." in text_of(study)
