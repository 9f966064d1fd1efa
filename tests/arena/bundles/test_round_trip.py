"""A study goes out as a bundle and comes back in another database: same numbers, bit for bit."""

import hashlib
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Q
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena import fitting, gold, raters, vote_roots, withdrawing
from arena.bundles import founding
from arena.bundles.layout import BundleError
from arena.bundles.reading import import_study
from arena.bundles.telling import placed
from arena.bundles.writing import export_study
from arena.models import AuditEvent, Ballot, BallotCheck, Exclusion, Flag, Rater, Study
from arena.vote_chain import check_chain
from generation.models import Checkpoint, Image, Metric, PromptSet, Recipe
from tests.arena.bundles.worlds import SECRETS, busy_study
from tests.arena.factories import make_study, make_user
from tests.arena.judged_study import add_gold_answers

pytestmark = pytest.mark.django_db


def numbers_of(study: Study) -> dict[str, Any]:
    """Everything that the fits of a study found, by criterion."""
    fitting.refit(study)
    places = {pk: place for place, pk in enumerate(study.contenders.order_by("position").values_list("pk", flat=True))}
    keys = dict(study.criteria.values_list("pk", "key"))
    fits = fitting.current_fits(study)
    return {
        keys[pk]: (fit.vote_count, fit.rater_count, fit.prompt_count, placed(fit.results, places))
        for pk, fit in fits.items()
    }


def votes_of(study: Study) -> list[tuple[Any, ...]]:
    return list(
        study.votes.order_by("pk").values_list(
            *("criterion__key", "choice", "skip_reason", "cast_at", "page_milliseconds", "sequence", "stratum"),
            *("left_contender__label", "right_contender__label", "study_prompt__prompt__text", "ballot__state"),
            *("ballot__purpose", "ballot__rule", "ballot__probability", "ballot__position"),
        )
    )


@pytest.mark.django_db(transaction=True)
def test_another_database_fits_to_the_very_same_numbers(tmp_path: Path) -> None:
    study = busy_study()
    vote_roots.publish_root(study)
    numbers, votes = numbers_of(study), votes_of(study)
    assert len(numbers) == 3 and all(count for count, *_ in numbers.values())
    path = tmp_path / "busy.zip"
    export_study(study, path, with_images=True)
    call_command("flush", interactive=False, verbosity=0)
    make_study(slug="here-before", contenders=2, prompts=2)  # so that no id is what it was

    done = import_study(path, owner=make_user("eve"))

    assert numbers_of(done.study) == numbers and votes_of(done.study) == votes
    assert [each.largest for each in done.comparisons] == [0.0, 0.0, 0.0]
    assert all(each.is_equal and each.numbers > 50 for each in done.comparisons)
    assert done.chain.kept and done.chain.broken == () and (done.chain.votes, done.chain.roots) == (len(votes), 1)
    assert [problem for rater in done.study.raters.all() for problem in check_chain(rater)] == []
    assert (done.study.state, done.study.owner) == ("closed", make_user("eve"))
    shown = Ballot.objects.filter(study=done.study, left_image__isnull=False).count()
    assert shown == done.study.ballots.count() > 0


@pytest.mark.once
def test_hashes_alone_are_enough_for_the_numbers_and_come_without_images(tmp_path: Path) -> None:
    study = busy_study()
    export_study(study, tmp_path / "busy.zip")
    before = Image.objects.count()
    done = import_study(tmp_path / "busy.zip", slug="again")
    assert numbers_of(done.study) == numbers_of(study) and Image.objects.count() == before
    assert not done.study.ballots.filter(left_image__isnull=False).exists()
    assert [problem for rater in done.study.raters.all() for problem in check_chain(rater)] == []


@pytest.mark.once
def test_no_name_no_address_and_no_external_id_is_in_it(tmp_path: Path) -> None:
    study = busy_study()
    ids = list(study.raters.values_list("public_id", flat=True))
    for is_public in (True, False):
        export_study(study, tmp_path / "busy.zip", is_public=is_public)
        with zipfile.ZipFile(tmp_path / "busy.zip") as archive:
            text = b"".join(archive.read(name) for name in archive.namelist()).decode()
        secrets = SECRETS if is_public else SECRETS[:2]  # researchers are told why somebody is excluded
        assert [found for found in (*secrets, *ids, f'"{make_user().username}"') if found in text] == []


@pytest.mark.once
def test_two_public_bundles_share_no_rater_and_tell_no_minute(tmp_path: Path) -> None:
    study = busy_study()
    names = []
    for number in range(2):
        export_study(study, tmp_path / f"{number}.zip", is_public=True)
        with zipfile.ZipFile(tmp_path / f"{number}.zip") as archive:
            lines = archive.read("raters.jsonl").decode().splitlines()
            names.append({line.split('"')[3] for line in lines})
            votes = archive.read("votes.jsonl").decode()
        assert "hash" not in votes and "milliseconds" not in votes and '"id"' not in votes
        assert all(":00:00+00:00" in line for line in votes.splitlines())
    assert len(names[0]) == 6 and not names[0] & names[1]
    done = import_study(tmp_path / "0.zip", slug="public")
    assert not done.chain.kept and numbers_of(done.study) == numbers_of(study)


def test_a_bundle_is_taken_in_once_and_leaves_what_is_here_alone(tmp_path: Path) -> None:
    study = busy_study()
    path = tmp_path / "busy.zip"
    export_study(study, path, with_images=True)
    with pytest.raises(BundleError, match="There is a study 'busy' already"):
        import_study(path, slug="busy")
    recipes, checkpoints = set(Recipe.objects.values_list("digest")), set(Checkpoint.objects.values_list("name"))
    done = import_study(path, slug="again")
    assert not recipes & {(row.recipe.digest,) for row in done.study.contenders.select_related("recipe")}
    own = Checkpoint.objects.filter(recipes__contenders__study=done.study)
    assert own and all(each.state == "refused" and (each.name,) not in checkpoints for each in own)
    with pytest.raises(BundleError, match="imported already, as the study again"):
        import_study(path, slug="third")
    acts = AuditEvent.objects.filter(act__in=("study exported", "study imported")).order_by("pk")
    assert [(each.act, each.study) for each in acts] == [("study exported", study), ("study imported", done.study)]
    assert len({each.detail["bundle"] for each in acts}) == 1


def judged_study() -> Study:
    """With a known answer that one rater was asked, a suspicion about another, metrics of images and a contender."""
    study = busy_study()
    first, second = study.contenders.order_by("pk")[:2]
    prompt = study.study_prompts.order_by("pk")[0]
    known = gold.propose(
        study=study, study_prompt=prompt, first=first, second=second, answers={"aesthetics": "tie"}, proposer=None
    )
    gold.review(known, reviewer=make_user())
    add_gold_answers(study.raters.order_by("pk")[0], known, asked=1, right=1)
    flag = Flag(study=study, rater=study.raters.order_by("pk")[1], criterion=study.criteria.get(position=1))
    flag.kind, flag.p, flag.statistic, flag.sentence = "one side", 1e-7, {"contender": None, "count": 9}, "prefers left"
    flag.save()
    Metric.objects.create(image=known.first_image, name="clip_score", value=1 / 3, source="CLIP of a test")
    Metric.objects.create(recipe=second.recipe, name="cmmd", value=0.1, source="a test", prompts_digest="a" * 64)
    return study


def findings_of(study: Study) -> dict[str, list[Any]]:
    places = {pk: place for place, pk in enumerate(study.raters.order_by("pk").values_list("pk", flat=True))}
    recipes = dict(study.contenders.values_list("recipe", "label"))
    golds = study.golds.values_list("first_contender__label", "second_contender__label", "answers", "retired_at")
    checks = BallotCheck.objects.filter(ballot__study=study, gold__study=study)
    flags = study.flags.values_list("rater", "criterion__key", "kind", "p", "statistic", "sentence", "found_at")
    metrics = Metric.objects.filter(Q(recipe__in=recipes) | Q(image__recipe__in=recipes)).order_by("name")
    told = ("recipe", "image__recipe", "image__prompt_text", "name", "value", "source", "prompts_digest")
    return {
        "golds": list(golds),
        "checks": list(checks.values_list("ballot__position", "ballot__study_prompt__prompt__text")),
        "flags": [(places[rater], *rest) for rater, *rest in flags],
        "metrics": [(recipes.get(one), recipes.get(other), *rest) for one, other, *rest in metrics.values_list(*told)],
    }


def test_known_answers_suspicions_metrics_and_reasons_come_along(tmp_path: Path) -> None:
    study = judged_study()
    path = tmp_path / "busy.zip"
    export_study(study, path, with_images=True)
    done = import_study(path, slug="again", accepts_broken_chain=True)  # the answer to the known pair has no hash
    found = findings_of(done.study)
    assert found == findings_of(study) and all(found.values()) and len(found["metrics"]) == 2
    reasons = set(done.study.exclusions.values_list("reason", flat=True))
    assert reasons == set(study.exclusions.values_list("reason", flat=True)) and len(reasons) == 3
    assert not any(known.reviewed_at or known.reviewer for known in done.study.golds.all())
    assert done.left == {"known answers": 0, "metrics": 0}
    export_study(study, path)
    without = import_study(path, slug="hashes", accepts_broken_chain=True)
    assert without.left == {"known answers": 1, "metrics": 1} and not without.study.golds.exists()
    assert len(findings_of(without.study)["flags"]) == len(findings_of(without.study)["metrics"]) == 1


@pytest.mark.once
def test_a_public_bundle_tells_no_known_answer_no_suspicion_and_no_reason(tmp_path: Path) -> None:
    study = judged_study()
    export_study(study, tmp_path / "busy.zip", is_public=True)
    with zipfile.ZipFile(tmp_path / "busy.zip") as archive:
        assert [archive.read(f"{name}.jsonl") for name in ("gold", "checks", "flags")] == [b"", b"", b""]
        assert b"reason" not in archive.read("exclusions.jsonl") and archive.read("metrics.jsonl").count(b"\n") == 2


@pytest.mark.once
def test_a_bundle_of_the_first_version_is_still_read(tmp_path: Path) -> None:
    study = busy_study()
    export_study(study, tmp_path / "new.zip")
    later = {"gold.jsonl", "checks.jsonl", "flags.jsonl", "metrics.jsonl"}
    with zipfile.ZipFile(tmp_path / "new.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name not in later}
    lines = [json.loads(line) for line in files["exclusions.jsonl"].splitlines()]
    without = [{name: value for name, value in line.items() if name != "reason"} for line in lines]
    files["exclusions.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in without)
    manifest = json.loads(files["manifest.json"])
    facts = {"sha256": hashlib.sha256(files["exclusions.jsonl"]).hexdigest(), "bytes": len(files["exclusions.jsonl"])}
    manifest["files"]["exclusions.jsonl"] |= facts
    manifest |= {"version": 1, "files": {name: own for name, own in manifest["files"].items() if name not in later}}
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        for name, data in (files | {"manifest.json": json.dumps(manifest).encode()}).items():
            archive.writestr(name, data)
    done = import_study(tmp_path / "old.zip", slug="again")
    assert numbers_of(done.study) == numbers_of(study)
    assert set(done.study.exclusions.values_list("reason", flat=True)) == {"Excluded where the bundle was made."}


@pytest.mark.once
def test_an_imported_study_says_so_and_nobody_can_be_invited_to_it(tmp_path: Path, client: Client) -> None:
    study = busy_study()
    client.force_login(make_user("root", is_superuser=True))
    export_study(study, tmp_path / "busy.zip")
    done = import_study(tmp_path / "busy.zip", slug="again").study
    assert (done.name, done.state, done.invitations.count()) == (f"{study.name} (imported)", "closed", 0)
    pages = [client.get(reverse("arena:study", args=[each.slug])).content.decode() for each in (study, done)]
    assert ["Invite raters" in page for page in pages] == [True, False] and f"{done.name}</h1>" in pages[1]
    export_study(done, tmp_path / "again.zip")
    assert import_study(tmp_path / "again.zip", slug="third").study.name == done.name
    assert len(founding.imported_name("x" * 200)) == 200


@pytest.mark.once
def test_the_commands_say_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    busy_study()
    path = tmp_path / "busy.zip"
    call_command("export_study", "busy", str(path))
    call_command("import_study", str(path), "--slug", "again")
    told = capsys.readouterr().out
    assert (
        "votes imported as the study again, '" in told
        and "(imported)'." in told
        and "the votes are as they were cast" in told
    )
    assert told.count("bit for bit those of the bundle") == 3
    assert Rater.objects.filter(study__slug="again").count() == 6


def test_who_does_not_see_the_first_copy_gets_one_of_their_own(tmp_path: Path, client: Client) -> None:
    study, bob, eve = busy_study(), make_user("bob"), make_user("eve")
    path = tmp_path / "busy.zip"
    export_study(study, path, with_images=True)
    copies = [import_study(path, owner=owner).study for owner in (bob, eve)]
    assert [(each.slug, each.owner) for each in copies] == [("busy-2", bob), ("busy-3", eve)]
    assert numbers_of(copies[0]) == numbers_of(copies[1]) == numbers_of(study)
    shared = [
        [
            set(each.contenders.values_list("recipe", flat=True)),
            set(each.contenders.values_list("recipe__checkpoint", flat=True)),
            set(each.study_prompts.values_list("prompt__prompt_set", flat=True)),
            set(each.ballots.values_list("left_image", flat=True)),
        ]
        for each in copies
    ]
    assert all(bobs and not bobs & eves for bobs, eves in zip(*shared, strict=True))
    assert PromptSet.objects.visible_to(eve).get(owner__isnull=False).owner == eve
    client.force_login(eve)
    pages = [client.get(reverse("arena:study", args=[each.slug])).status_code for each in copies]
    assert pages == [404, 200]
    for owner, own in ((bob, "busy-2"), (eve, "busy-3")):
        with pytest.raises(BundleError, match=f"imported already, as the study {own}."):
            import_study(path, owner=owner, slug="more")


def test_amendments_name_their_contenders_and_exclusions_keep_their_time(tmp_path: Path) -> None:
    study = busy_study()
    gone = study.contenders.order_by("-position").first()
    assert gone is not None
    withdrawing.withdraw_contender(contender=gone, reason="Broken weights.", author=None)
    rater = study.raters.order_by("pk")[0]
    raters.exclude(study=study, scope="rater", target=rater, reason="Clicks.", author=None)
    last_week = timezone.now() - timedelta(days=7)
    Exclusion.objects.filter(study=study).update(created_at=last_week)
    path = tmp_path / "busy.zip"
    export_study(study, path, with_images=False)
    make_study(slug="here-before", contenders=2, prompts=2)
    done = import_study(path, slug="again", owner=make_user("eve")).study
    [change] = done.amendments.all()
    assert done.contenders.get(pk=change.change["contender"]).label == gone.label
    assert change.change == {"act": "contender withdrawn", "label": gone.label, "contender": change.change["contender"]}
    assert set(Exclusion.objects.filter(study=done).values_list("created_at", flat=True)) == {last_week}
