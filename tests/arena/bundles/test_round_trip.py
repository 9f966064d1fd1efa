"""A study goes out as a bundle and comes back in another database: same numbers, bit for bit."""

import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from arena import fitting, raters, vote_roots, withdrawing
from arena.bundles.layout import BundleError
from arena.bundles.reading import import_study
from arena.bundles.telling import placed
from arena.bundles.writing import export_study
from arena.models import AuditEvent, Ballot, Exclusion, Rater, Study
from arena.vote_chain import check_chain
from generation.models import Checkpoint, Image, Recipe
from tests.arena.bundles.worlds import SECRETS, busy_study
from tests.arena.factories import make_study, make_user

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


def test_hashes_alone_are_enough_for_the_numbers_and_come_without_images(tmp_path: Path) -> None:
    study = busy_study()
    export_study(study, tmp_path / "busy.zip")
    before = Image.objects.count()
    done = import_study(tmp_path / "busy.zip", slug="again")
    assert numbers_of(done.study) == numbers_of(study) and Image.objects.count() == before
    assert not done.study.ballots.filter(left_image__isnull=False).exists()
    assert [problem for rater in done.study.raters.all() for problem in check_chain(rater)] == []


def test_no_name_no_address_and_no_external_id_is_in_it(tmp_path: Path) -> None:
    study = busy_study()
    ids = list(study.raters.values_list("public_id", flat=True))
    for is_public in (True, False):
        export_study(study, tmp_path / "busy.zip", is_public=is_public)
        with zipfile.ZipFile(tmp_path / "busy.zip") as archive:
            text = b"".join(archive.read(name) for name in archive.namelist()).decode()
        assert [found for found in (*SECRETS, *ids, make_user().username + '"') if found in text] == []


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
        import_study(path)
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


def test_the_commands_say_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    busy_study()
    path = tmp_path / "busy.zip"
    call_command("export_study", "busy", str(path))
    call_command("import_study", str(path), "--slug", "again")
    told = capsys.readouterr().out
    assert "votes imported as the study again." in told and "the votes are as they were cast" in told
    assert told.count("bit for bit those of the bundle") == 3
    assert Rater.objects.filter(study__slug="again").count() == 6


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
