"""Bundles that were damaged, forged or made to do harm: one sentence each, and nothing of them is stored."""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from arena.bundles import archive as archives
from arena.bundles import layout
from arena.bundles.layout import BundleError
from arena.bundles.reading import import_study
from arena.bundles.writing import export_study
from arena.refusals import Refusal
from tests.arena.bundles.worlds import busy_study
from tests.arena.dumps import dump
from tests.arena.factories import cast, make_rater, make_study

pytestmark = pytest.mark.django_db

Files = dict[str, bytes]
Change = Callable[[Files], None]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    study = make_study(contenders=3, prompts=2)
    cast(make_rater(study), "left", ballots=4)
    export_study(study, tmp_path / "good.zip", with_images=True)
    return tmp_path / "good.zip"


def changed(bundle: Path, change: Change, *, tells: bool = True) -> Path:
    """The bundle packed anew after a change; with `tells`, its table of contents is made to fit."""
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if tells and "manifest.json" in files:
        manifest = json.loads(files["manifest.json"])
        for name in [name for name in manifest["files"] if name not in files]:
            del manifest["files"][name]
        for name, data in files.items():
            if name != "manifest.json":
                facts = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
                rows = {"rows": data.count(b"\n")} if name.endswith(".jsonl") else {}
                manifest["files"][name] = facts | rows
        files["manifest.json"] = json.dumps(manifest).encode()
    path = bundle.parent / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def line(name: str, number: int, **values: Any) -> Change:
    """Put other values into one line of a file."""

    def change(files: Files) -> None:
        lines = files[name].splitlines()
        lines[number] = json.dumps(json.loads(lines[number]) | values).encode()
        files[name] = b"\n".join(lines) + b"\n"

    return change


def raw(name: str, data: bytes) -> Change:
    return lambda files: files.update({name: data})


def dropped(name: str) -> Change:
    def change(files: Files) -> None:
        del files[name]

    return change


def replaced(name: str, old: bytes, new: bytes) -> Change:
    def change(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return change


def refused(path: Path, pattern: str, *, slug: str = "new") -> None:
    before = dump()
    with pytest.raises(Refusal, match=pattern) as refusal:
        import_study(path, slug=slug)
    assert "\n" not in refusal.value.sentence and len(refusal.value.sentence) < 500
    assert dump() == before


GOLD = b'{"prompt":0,"first_image":0,"second_image":1,"answers":{%s},"reviewed_at":null,"retired_at":null}\n'
FLAG = (
    b'{"rater":null,"cohort":"","criterion":null,"kind":"gold","p":0.1,"statistic":{},"sentence":"",'
    b'"found_at":"2026-01-01T00:00:00Z","faded_at":null,"dismissed_at":null}\n'
)

ROWS: dict[str, tuple[Change, str]] = {
    "an unknown choice": (
        line("votes.jsonl", 1, choice="up"),
        r"bad.zip, votes.jsonl, line 2: choice: Input should be",
    ),
    "a ballot that is not there": (line("votes.jsonl", 0, ballot=99), r"votes.jsonl, line 1: ballot 99 is not there"),
    "a question answered twice": (line("votes.jsonl", 1, ballot=0, criterion=0), r"line 2: .*a second time"),
    "votes in another order": (line("votes.jsonl", 1, sequence=1), r"line 2: its sequence 1 does not follow 1"),
    "a huge number": (line("votes.jsonl", 0, sequence=10**400), r"votes.jsonl, line 1: "),
    "a field that nobody knows": (line("votes.jsonl", 0, is_staff=True), r"line 1: is_staff: Extra inputs"),
    "no time": (line("votes.jsonl", 0, cast_at="soon"), r"line 1: cast_at: "),
    "a time of no zone": (line("votes.jsonl", 0, cast_at="2026-01-01T00:00:00"), r"line 1: cast_at: .*timezone"),
    "one contender twice": (line("ballots.jsonl", 0, left=0, right=0), r"compares a contender with itself"),
    "a foreign image": (line("ballots.jsonl", 0, left_image=None, right_image=99), r"an image 99 is not there"),
    "a stratum of others": (line("ballots.jsonl", 0, stratum="simulated"), r"its stratum simulated is not that"),
    "an answer without a time": (line("ballots.jsonl", 0, answered_at=None), r"is answered without a time"),
    "a vote on an open ballot": (line("ballots.jsonl", 0, state="open"), r"votes.jsonl, line 1: .* not answered"),
    "NaN": (replaced("ballots.jsonl", b'"probability":', b'"probability":NaN,"p":'), r"ballots.jsonl, line 1: "),
    "not JSON": (raw("raters.jsonl", b"{\n"), r"raters.jsonl, line 1: Invalid JSON"),
    "very deep JSON": (raw("raters.jsonl", b"[" * 100_000 + b"\n"), r"raters.jsonl, line 1: "),
    "bad UTF-8": (raw("raters.jsonl", b'{"rater": "\xff"}\n'), r"raters.jsonl, line 1: "),
    "a place taken twice": (line("ballots.jsonl", 1, position=1), r"ballots.jsonl, line 2: is at a place of its rater"),
    "no computer's year": (
        line("ballots.jsonl", 0, shown_at="0001-01-01T00:00:00+23:00"),
        r"ballots.jsonl, line 1: shown_at: Input should be greater",
    ),
    "an image of another study": (
        line("images.jsonl", 0, prompt_text="?"),
        r"images.jsonl, line 1: is of a prompt that",
    ),
    "a known answer to nothing": (
        raw("gold.jsonl", GOLD % b'"taste":"first"'),
        r"gold.jsonl, line 1: answers 'taste', which nobody is asked",
    ),
    "a check of an ordinary ballot": (
        raw("checks.jsonl", b'{"ballot":0,"repeats":1}\n'),
        r"checks.jsonl, line 1: checks an ordinary ballot",
    ),
    "a suspicion of nobody": (raw("flags.jsonl", FLAG), r"flags.jsonl, line 1: is about neither a rater nor a cohort"),
    "a number of nothing": (
        raw("metrics.jsonl", b'{"name":"x","source":"y","value":1.0}\n'),
        r"metrics.jsonl, line 1: is of neither an image nor a contender",
    ),
    "an endless number": (
        raw("metrics.jsonl", b'{"contender":0,"name":"x","source":"y","value":1e301}\n'),
        r"metrics.jsonl, line 1: value: is no number that can be kept",
    ),
    "a long line": (raw("raters.jsonl", b" " * (2**20 + 5) + b"\n"), r"raters.jsonl: line 1 is longer than 1 MB"),
    "an unknown entry of the design": (
        replaced("design.json", b'"samples":1', b'"samples":1,"evil":1'),
        r"unknown entry 'evil'",
    ),
    "a rule tie of one": (
        raw("rule_ties.jsonl", b'{"prompt":0,"low":1,"high":1,"weight":1.0}\n'),
        r"rule_ties.jsonl, line 1: ties a contender with itself",
    ),
    "an exclusion of nothing": (
        raw("exclusions.jsonl", b'{"scope":"vote","target":99,"at":"2026-01-01T00:00:00Z"}\n'),
        r"exclusions.jsonl, line 1: vote 99 is not there",
    ),
}


def test_a_wrong_row_is_named_and_nothing_is_stored(bundle: Path) -> None:
    for change, pattern in ROWS.values():
        refused(changed(bundle, change), pattern)


ARCHIVES: list[tuple[Change, str]] = [
    (raw("../../evil.py", b"x"), r"'../../evil.py': is nothing that a bundle holds"),
    (raw("/etc/cron.d/evil", b"x"), r"is nothing that a bundle holds"),
    (raw("images/../votes.jsonl", b"x"), r"is nothing that a bundle holds"),
    (raw(f"images/{'a' * 64}.png", b"x"), r"images/a{64}.png: (belongs to no image|is not the file)"),
    (dropped("manifest.json"), r"bad.zip: has no manifest.json, so it is no bundle"),
    (dropped("votes.jsonl"), r"does not list votes.jsonl"),
    (replaced("manifest.json", b'"version":2', b'"version":3'), r"is of version 3; this site reads versions 1 and 2"),
    (replaced("manifest.json", b"study bundle", b"cake"), r"does not say that this is a winrate study bundle"),
    (raw("manifest.json", b"[" * 100_000), r"manifest.json: is not one JSON object"),
    (raw("manifest.json", b'{"format": 1, "format": 2}'), r"manifest.json: is not one JSON object"),
]


@pytest.mark.once
def test_an_archive_of_another_kind_is_refused_and_leaves_no_file_anywhere(bundle: Path) -> None:
    for change, pattern in ARCHIVES:
        refused(changed(bundle, change, tells="manifest.json:" not in pattern), pattern)
    assert not list(bundle.parent.parent.rglob("evil*")) and not list(Path(settings.BASE_DIR).parent.glob("evil*"))


@pytest.mark.once
def test_what_was_changed_after_writing_is_found_by_its_checksum(bundle: Path) -> None:
    swap = replaced("votes.jsonl", b'"choice":"left"', b'"choice":"tie"')
    refused(changed(bundle, swap, tells=False), r"votes.jsonl: is (larger|not as it was written)")


def test_a_forged_vote_breaks_the_chain_and_says_so(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swap = replaced("votes.jsonl", b'"choice":"left"', b'"choice":"right"')
    path = changed(bundle, swap)
    refused(path, r"Vote 1 of rater 0 \(votes.jsonl, line 1\) is not as cast. Somebody changed votes")
    with pytest.raises(CommandError, match="Somebody changed votes"):
        call_command("import_study", str(path), "--slug", "new")
    call_command("import_study", str(path), "--slug", "new", "--accept-broken-chain")
    told = capsys.readouterr().out
    assert "vote chains are BROKEN" in told and "which is NOT the same fit" in told


@pytest.mark.once
def test_a_root_that_does_not_fit_is_found(tmp_path: Path) -> None:
    from arena.vote_roots import publish_root

    study = busy_study()
    publish_root(study)
    export_study(study, tmp_path / "good.zip")
    path = changed(tmp_path / "good.zip", line("roots.jsonl", 0, root="0" * 64))
    refused(path, r"The root 000000000000 published at .* does not fit the votes")


@pytest.mark.once
def test_bombs_links_and_locked_entries_are_refused_before_they_are_read(bundle: Path, tmp_path: Path) -> None:
    def repacked(entry: zipfile.ZipInfo, data: bytes) -> Path:
        with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            for name in source.namelist():
                if name != entry.filename:
                    archive.writestr(name, source.read(name))
            archive.writestr(entry, data, compress_type=zipfile.ZIP_DEFLATED)
        return tmp_path / "bad.zip"

    refused(repacked(zipfile.ZipInfo("votes.jsonl"), b"\n" * 60_000_000), r"is packed 1,0\d\d times smaller")
    link = zipfile.ZipInfo("votes.jsonl")
    link.external_attr = 0o120777 << 16
    refused(repacked(link, b"/etc/passwd"), r"'votes.jsonl': is no ordinary file")
    path = repacked(zipfile.ZipInfo("votes.jsonl"), b"x")
    path.write_bytes(
        path.read_bytes().replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    )
    refused(path, r"is encrypted")


@pytest.mark.once
def test_an_entry_that_says_too_little_is_not_read_to_its_end(bundle: Path) -> None:
    def more(files: Files) -> None:
        manifest = json.loads(files["manifest.json"])
        manifest["files"]["votes.jsonl"]["bytes"] = 10
        files["manifest.json"] = json.dumps(manifest).encode()

    refused(changed(bundle, more, tells=False), r"votes.jsonl: is larger than the 10 bytes that the table of contents")


@pytest.mark.once
@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", b"not a zip at all" * 100, b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(data)
    refused(tmp_path / "bad.zip", r"bad.zip: is no zip archive, or a damaged one")


@pytest.mark.once
def test_a_missing_file_and_a_full_list_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(tmp_path / "none.zip", r"none.zip: cannot be read: no such file")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("manifest.json", b"{}")
    monkeypatch.setattr(archives, "MOST_DIRECTORY", 10)
    refused(tmp_path / "bad.zip", r"lists more entries than a bundle has")


@pytest.mark.once
def test_absurd_counts_are_refused_before_anything_is_read(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def many(files: Files) -> None:
        manifest = json.loads(files["manifest.json"])
        manifest["files"]["votes.jsonl"]["rows"] = 10**9
        files["manifest.json"] = json.dumps(manifest).encode()

    refused(changed(bundle, many, tells=False), r"votes.jsonl: has 1,000,000,000 rows, and 50,000,000 is the most that")
    monkeypatch.setattr(archives, "MOST_VALUES", 500)
    nested = line("ballots.jsonl", 0, rule=[[]] * 600)
    refused(changed(bundle, nested), r"ballots.jsonl, line 1: holds more than 500 values")
    refused(
        changed(bundle, raw("manifest.json", b"[" + b"[]," * 600 + b"0]"), tells=False), r"holds more than 500 values"
    )
    root = {"root": "0" * 64, "heads": {str(pk): 1 for pk in range(1, 9)}, "votes": 1, "at": "2026-01-01T00:00:00Z"}
    monkeypatch.setattr(layout, "MOST_HEADS", 7)
    refused(
        changed(bundle, raw("roots.jsonl", json.dumps(root).encode() + b"\n")), r"roots name more than 7 ends of chains"
    )


@pytest.mark.once
def test_what_a_hostile_bundle_can_hold_in_memory_is_bounded_by_design() -> None:
    """Of the rows that leave something behind, the most there may be, at what Python takes for each."""
    each = {layout.RATERS: 120, layout.IMAGES: 110, layout.BALLOTS: 60, layout.VOTES: 8, layout.CHECKS: 1}
    kept = sum(layout.MOST_ROWS[name] * size for name, size in each.items()) + 300 * layout.MOST_HEADS
    assert kept < 2.5 * 2**30 and archives.MOST_BYTES[layout.DESIGN] + 100 * archives.MOST_VALUES < 2**29


@pytest.mark.once
def test_a_picture_that_is_none_or_another_one_is_refused(bundle: Path) -> None:
    def page(files: Files) -> None:
        name = next(name for name in files if name.endswith(".png"))
        del files[name]
        data = b"<script>alert(1)</script>"
        digest = hashlib.sha256(data).hexdigest()
        old = re.search(r"[0-9a-f]{64}", name)
        assert old is not None
        files["images.jsonl"] = files["images.jsonl"].replace(old[0].encode(), digest.encode())
        files[f"images/{digest}.png"] = data

    refused(changed(bundle, page), r"\.png: this is no PNG, JPEG or WebP image")

    def swapped(files: Files) -> None:
        first, second = [name for name in files if name.endswith(".png")][:2]
        files[first], files[second] = files[second], files[first]

    refused(changed(bundle, swapped), r"\.png: is not the file that its name says")


@pytest.mark.once
def test_a_draft_and_a_place_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    draft = make_study(opened=False, copies=False, slug="draft")
    with pytest.raises(BundleError, match="has not opened"):
        export_study(draft, tmp_path / "a.zip")
    study = make_study(contenders=2, prompts=1)
    with pytest.raises(BundleError, match="cannot be written"):
        export_study(study, tmp_path / "nowhere" / "a.zip")
    assert list(tmp_path.iterdir()) == []
