"""Manifests and folders, whole: what is found, missing, double and unknown; all of it or nothing; twice is once."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from PIL import Image as Pictures

from generation import image_store
from generation.image_imports import (
    Asked,
    ImageImportError,
    Layout,
    PromptIndex,
    Report,
    look_at,
    open_import,
    storing,
    take_in,
)
from generation.models import Image, PromptSet, Recipe
from tests.generation.image_imports import files
from tests.generation.image_imports.conftest import TEXTS, MakePrompts

pytestmark = pytest.mark.django_db
THREE = {f"{at}_0.png": files.png(at) for at in range(3)}


def look(path: Path, prompts: PromptSet, *contenders: str, **options: Any) -> Report:
    return run(path, prompts, *contenders, keep=False, **options)


def run(
    path: Path,
    prompts: PromptSet,
    *contenders: str,
    keep: bool = True,
    layout: Layout | None = None,
    first_index: int = 0,
    samples: int | None = None,
    owner: User | None = None,
) -> Report:
    """Look, and take in where asked to."""
    index = PromptIndex.of_set(prompts, first_index=first_index)
    asked = Asked(index=index, contenders=contenders, owner=owner, samples=samples)
    with open_import(path, layout=layout) as (source, claims, unknown):
        looked = look_at(source, claims, asked=asked, unknown=unknown)
        if keep:
            take_in(looked)
    return looked.report


def manifest(folder: Path, text: str | bytes, *, name: str = "images.csv", images: int = 3) -> Path:
    files.write_all(folder, {f"img/{at}.png": files.png(at) for at in range(images)})
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


# --- what comes in ----------------------------------------------------------------------------------------------------
def test_a_manifest_becomes_recipes_and_images_with_everything_it_told(
    tmp_path: Path, make_prompts: MakePrompts
) -> None:
    rows = "file,prompt,model,sample,seed,steps\n"
    rows += 'img/0.png,a red fox,SDXL,0,17,30\nimg/1.png,"a sign that says ""OPEN""",SDXL,0,,\n'
    rows += "img/2.png,2,DALL-E 3,1,,\n"
    report = run(manifest(tmp_path, rows), make_prompts())
    assert report.problems == ()
    facts = {each.contender: (each.wanted, each.found, len(each.missing)) for each in report.contenders}
    assert facts == {"SDXL": (6, 2, 4), "DALL-E 3": (6, 1, 5)}
    fox = Image.objects.get(prompt_text="a red fox")
    assert (fox.recipe.name, fox.recipe.kind, fox.recipe.state) == ("SDXL", "external", "ready")
    assert (fox.seed, fox.sample, fox.width, fox.height, fox.job) == (None, 0, 64, 48, None)
    assert fox.provenance["told"] == {"seed": 17, "metadata": {"steps": "30"}}
    assert fox.provenance["imported"]["file"] == "img/0.png"
    assert Image.objects.get(recipe__name="DALL-E 3").sample == 1
    stored = Pictures.open(io.BytesIO(image_store.read(fox.file_sha256, suffix=".png", verify=True)))
    assert (stored.size, stored.mode, stored.info) == ((64, 48), "RGB", {})
    recipe = fox.recipe
    assert (recipe.width, recipe.height, recipe.schedule, recipe.checkpoint) == (64, 48, None, None)


LAYOUTS: dict[str, tuple[Layout, dict[str, bytes]]] = {
    "dalle3": (
        Layout.DALLE3,
        {f"{at}_{sample}.png": files.png(10 * at + sample) for at in (0, 2) for sample in (0, 1)},
    ),
    "geneval": (
        Layout.GENEVAL,
        {f"{at:05}/samples/{sample:04}.png": files.png(10 * at + sample) for at in (0, 2) for sample in (0, 1)},
    ),
    "compbench by text": (
        Layout.COMPBENCH,
        {
            "a red fox_000000.png": files.png(0),
            "a red fox_000001.png": files.png(1),
            "two teapots on a shelf_000004.png": files.png(20),
            "two teapots on a shelf_000005.png": files.png(21),
        },
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("is_told", [False, True])
def test_a_layout_is_told_or_recognised(name: str, is_told: bool, tmp_path: Path, make_prompts: MakePrompts) -> None:
    layout, members = LAYOUTS[name]
    files.write_all(tmp_path, members | {"notes/readme.md": b"hello"})
    report = run(tmp_path, make_prompts(), "SDXL", layout=layout if is_told else None)
    (found,) = report.contenders
    assert (found.wanted, found.found, report.unknown) == (6, 4, ("notes/readme.md",))
    assert {(missing.cell.position, missing.sample) for missing in found.missing} == {(1, 0), (1, 1)}
    got = set(Image.objects.values_list("prompt_text", "sample"))
    assert got == {(TEXTS[0], 0), (TEXTS[0], 1), (TEXTS[2], 0), (TEXTS[2], 1)}
    fox = Image.objects.get(prompt_text=TEXTS[0], sample=1)
    assert fox.pixels_sha256 != Image.objects.get(prompt_text=TEXTS[0], sample=0).pixels_sha256


def test_compbench_by_number(tmp_path: Path, make_prompts: MakePrompts) -> None:
    files.write_all(tmp_path, {f"prompt_{at:06}.png": files.png(at) for at in range(3)})
    assert run(tmp_path, make_prompts(), "SDXL", layout=Layout.COMPBENCH).contenders[0].found == 3


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json"])
def test_every_kind_of_manifest(ending: str, tmp_path: Path, make_prompts: MakePrompts) -> None:
    texts = {
        "csv": "Image Path;Prompt ID\r\nimg/0.png;0\r\nimg/1.png;1\r\n",
        "tsv": "filename\tprompt\nimg/0.png\ta red fox\nimg/1.png\t1\n",
        "jsonl": '{"file": "img/0.png", "prompt_index": 0}\n{"file": "img/1.png", "prompt": "two teapots on a shelf"}',
        "json": '[{"file": "img/0.png", "position": 0}, {"file": "img/1.png", "position": "1"}]',
    }
    report = run(manifest(tmp_path, texts[ending], name=f"m.{ending}"), make_prompts(), "SDXL")
    assert (report.contenders[0].found, report.problems) == (2, ())


def test_names_of_the_prompt_file_come_before_positions(tmp_path: Path, make_prompts: MakePrompts) -> None:
    prompts = make_prompts(ids=["7", "2", "p-9"])
    rows = "file,prompt_id\nimg/0.png,7\nimg/1.png,2\nimg/2.png,p-9\n"
    run(manifest(tmp_path, rows), prompts, "SDXL")
    named = {image.provenance["imported"]["file"]: image.prompt_text for image in Image.objects.all()}
    assert named == {f"img/{at}.png": TEXTS[at] for at in range(3)}


def test_a_zip_is_read_member_by_member(tmp_path: Path, make_prompts: MakePrompts) -> None:
    rows = b"file,prompt_id,sample\nimg/0.png,0,0\nimg/1.png,1,0\n"
    members = {"img/0.png": files.png(0), "img/1.png": files.png(1), "manifest.csv": rows, "__MACOSX/._0.png": b"x"}
    (tmp_path / "a.zip").write_bytes(files.zip_of(members))
    before = sorted(tmp_path.iterdir())
    report = run(tmp_path / "a.zip", make_prompts(), "SDXL")
    assert (report.contenders[0].found, report.unknown) == (2, ())
    assert sorted(path for path in tmp_path.iterdir() if path.name != "images") == before


def test_prompts_that_share_a_text_share_their_image(tmp_path: Path, make_prompts: MakePrompts) -> None:
    prompts = make_prompts(["a fox", "a dog", "a fox"])
    files.write_all(tmp_path, {"0_0.png": files.png(0), "1_0.png": files.png(1), "2_0.png": files.png(0)})
    (found,) = run(tmp_path, prompts, "SDXL").contenders
    assert (found.wanted, found.found, len(found.duplicates)) == (2, 2, 1)


# --- all or nothing, and once -----------------------------------------------------------------------------------------
def test_a_second_import_finds_the_same_images(tmp_path: Path, make_prompts: MakePrompts) -> None:
    files.write_all(tmp_path, THREE)
    prompts = make_prompts()
    run(tmp_path, prompts, "SDXL")
    before = list(Image.objects.values())
    again = run(tmp_path, prompts, "SDXL")
    assert (again.contenders[0].found, again.contenders[0].already) == (0, 3)
    assert list(Image.objects.values()) == before and Recipe.objects.count() == 1


def test_a_dry_look_keeps_nothing(tmp_path: Path, make_prompts: MakePrompts, image_folder: Path) -> None:
    files.write_all(tmp_path / "in", THREE)
    assert look(tmp_path / "in", make_prompts(), "SDXL").contenders[0].found == 3
    assert not Image.objects.exists() and not Recipe.objects.exists() and not image_folder.exists()


def test_one_bad_file_stops_all_of_it(tmp_path: Path, make_prompts: MakePrompts, image_folder: Path) -> None:
    files.write_all(tmp_path / "in", THREE | {"1_0.png": b"no picture", "2_0.png": files.png(2)[:-30]})
    report = look(tmp_path / "in", make_prompts(), "SDXL")
    assert [sentence.partition(":")[0] for sentence in report.problems] == ["1_0.png", "2_0.png"]
    with pytest.raises(ValueError, match="cannot be taken in"):
        run(tmp_path / "in", make_prompts(), "SDXL")
    assert not Image.objects.exists() and not image_folder.exists()


def test_an_image_is_never_replaced(tmp_path: Path, make_prompts: MakePrompts) -> None:
    prompts = make_prompts()
    run(files.write_all(tmp_path / "a", THREE), prompts, "SDXL")
    report = look(files.write_all(tmp_path / "b", THREE | {"1_0.png": files.png(77)}), prompts, "SDXL")
    assert len(report.problems) == 1 and report.problems[0].startswith("1_0.png: sample 0 of prompt 1")
    assert "has another image already" in report.problems[0]


def test_whose_images_they_are_tells_contenders_of_one_name_apart(
    tmp_path: Path, make_prompts: MakePrompts, django_user_model: type[User]
) -> None:
    ada, bob = (django_user_model.objects.create_user(name) for name in ("ada", "bob"))
    prompts = make_prompts()
    run(files.write_all(tmp_path / "a", THREE), prompts, "SDXL", owner=ada)
    run(files.write_all(tmp_path / "b", {"0_0.png": files.png(99)}), prompts, "SDXL", owner=bob)
    counts = {
        owner.username: Image.objects.filter(recipe__in=Recipe.objects.external_of(owner)).count()
        for owner in (ada, bob)
    }
    assert counts == {"ada": 3, "bob": 1}


def test_the_recipes_size_is_that_of_its_smallest_image(tmp_path: Path, make_prompts: MakePrompts) -> None:
    prompts = make_prompts()
    sizes = {"0_0.png": (300, 200), "1_0.png": (80, 240)}
    run(files.write_all(tmp_path / "a", {name: files.png(size=size) for name, size in sizes.items()}), prompts, "SDXL")
    assert Recipe.objects.values_list("width", "height").get() == (80, 200)
    run(files.write_all(tmp_path / "b", {"2_0.png": files.png(size=(64, 512))}), prompts, "SDXL")
    assert Recipe.objects.values_list("width", "height").get() == (64, 200)


# --- the report -------------------------------------------------------------------------------------------------------
def test_the_report_names_what_is_missing_double_and_unknown(tmp_path: Path, make_prompts: MakePrompts) -> None:
    rows = "file,prompt,model\nimg/0.png,a red fox,SDXL\nimg/0.png,a red fox,SDXL\nimg/1.png,a blue whale,SDXL\n"
    report = look(manifest(tmp_path, rows), make_prompts())
    assert list(report.lines()) == [
        "SDXL: 3 images wanted, 1 found, 0 there already, 2 missing.",
        '  missing: prompt 1 "a sign that says "OPEN"", sample 0',
        '  missing: prompt 2 "two teapots on a shelf", sample 0',
        "  duplicate: line 3 (img/0.png) is the same picture as line 2 (img/0.png)",
        "unknown, left out: line 4 (img/1.png)",
    ]


def test_samples_wanted_can_be_told(tmp_path: Path, make_prompts: MakePrompts) -> None:
    prompts = make_prompts()
    members = {"0_0.png": files.png(0), "0_1.png": files.png(1)}
    files.write_all(tmp_path, members)
    (more,) = look(tmp_path, prompts, "SDXL", samples=4).contenders
    assert (more.wanted, len(more.missing)) == (12, 10)
    fewer = look(tmp_path, prompts, "SDXL", samples=1)
    assert (fewer.contenders[0].wanted, fewer.contenders[0].found, fewer.unknown) == (3, 1, ("0_1.png",))


def test_two_pictures_of_one_cell_are_a_problem(tmp_path: Path, make_prompts: MakePrompts) -> None:
    rows = "file,prompt_id\nimg/0.png,0\nimg/1.png,0\n"
    (problem,) = look(manifest(tmp_path, rows), make_prompts(), "SDXL").problems
    assert problem.startswith("line 3 (img/1.png): line 2 (img/0.png) is another picture of the same prompt")


def test_only_contenders_that_were_asked_for_come_in(tmp_path: Path, make_prompts: MakePrompts) -> None:
    rows = "file,prompt_id,model\nimg/0.png,0,SDXL\nimg/1.png,1,Other\n"
    report = look(manifest(tmp_path, rows), make_prompts(), "SDXL")
    assert ([each.contender for each in report.contenders], report.unknown) == (["SDXL"], ("1 row of Other",))


# --- what is refused --------------------------------------------------------------------------------------------------
HEADER = "file,prompt_id,sample,seed\n"
BAD_MANIFESTS: dict[str, tuple[bytes, str]] = {
    "B12 UTF-16 without a mark": ("file,prompt_id\nimg/0.png,0\n".encode("utf-16-le"), "line 1: there is a NUL byte"),
    "B12 Latin-1": ("file,prompt\nimg/0.png,ein Füchslein\n".encode("latin-1"), "line 2: byte 0xFC is not UTF-8"),
    "B13 NUL": (b"file,prompt_id\nimg/0.png,0\nimg/\0.png,1\n", "line 3: there is a NUL byte"),
    "B13 open quote": (b'file,prompt\nimg/0.png,"a red fox\n', "line 2: the quotation mark that opens here"),
    "B19 nothing": (b"", "the file is empty; begin it with a header"),
    "B19 header only": (HEADER.encode(), "the manifest has a header but no rows"),
    "B19 no file column": (b"picture,prompt\na.png,a red fox\n", 'line 1: there is no column "file", only picture'),
    "B19 no prompt column": (b"file,sample\nimg/0.png,0\n", "line 2: the row names no prompt"),
    "B19 short row": (f"{HEADER}img/0.png,0\n".encode(), "line 2: the header in line 1 has 4 cells, this row 2"),
    "B19 no name": (f"{HEADER},0,0,\n".encode(), "line 2: the row names no file"),
    "B22 deep JSON": (b'{"file": "img/0.png", "prompt_id": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "levels deep"),
    "B22 NaN": (b'{"file": "img/0.png", "prompt_id": 0, "x": NaN}', "line 1: NaN is not valid JSON"),
    "B23 sample": (f"{HEADER}img/0.png,0,-1,\n".encode(), "line 2: \"sample\" is '-1'"),
    "B23 sample too high": (f"{HEADER}img/0.png,0,1000,\n".encode(), "line 2: sample 1000 lies outside 0 to 999"),
    "B23 seed": (f"{HEADER}img/0.png,0,0,{'9' * 30}\n".encode(), 'line 2: "seed" is'),
    "B20 up and out": (f"{HEADER}../../etc/passwd,0,0,\n".encode(), "line 2: a file name leads out of the folder"),
    "B20 absolute": (f"{HEADER}/etc/passwd,0,0,\n".encode(), "line 2: a file name leads out of the folder"),
    "B20 drive": (f"{HEADER}C:\\a.png,0,0,\n".encode(), "line 2: a file name leads out of the folder"),
    "B20 300 characters": (f"{HEADER}{'a' * 300}.png,0,0,\n".encode(), "line 2: a file name has 304 characters"),
    "B20 direction": (f"{HEADER}img/\u202egnp.exe,0,0,\n".encode(), "line 2: a file name holds a control character"),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_with_its_line(case: str, tmp_path: Path, make_prompts: MakePrompts) -> None:
    data, sentence = BAD_MANIFESTS[case]
    with pytest.raises(ImageImportError) as refused:
        look(manifest(tmp_path, data, name="m.csv"), make_prompts(), "SDXL")
    said = str(refused.value)
    assert said.startswith(("m.csv: ", "m.csv, line ")) and sentence in said and "\n" not in said and said.endswith(".")
    assert not Image.objects.exists()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_marked_encodings_and_every_line_end_are_read(
    encoding: str, end: str, tmp_path: Path, make_prompts: MakePrompts
) -> None:
    rows = end.join(["file,prompt", "img/0.png,ein Füchslein", ""])
    report = look(manifest(tmp_path, rows.encode(encoding)), make_prompts(["ein Füchslein"]), "SDXL")
    assert report.contenders[0].found == 1


def test_a_row_whose_file_is_missing_is_named(tmp_path: Path, make_prompts: MakePrompts) -> None:
    rows = "file,prompt_id\nimg/0.png,0\nimg/9.png,1\nimg,2\n"
    problems = look(manifest(tmp_path, rows), make_prompts(), "SDXL").problems
    assert [problem.partition(";")[0] for problem in problems] == [
        "img/9.png, line 3: there is no such file",
        "img, line 4: there is no such file",
    ]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, make_prompts: MakePrompts) -> None:
    (tmp_path / "secret.png").write_bytes(files.png())
    folder = files.write_all(tmp_path / "in", {"1_0.png": files.png(1)})
    (folder / "0_0.png").symlink_to(tmp_path / "secret.png")
    (problem,) = look(folder, make_prompts(), "SDXL").problems
    assert problem.startswith("0_0.png: a file name leads out of the folder")


def test_numbers_counted_from_one_are_noticed(tmp_path: Path, make_prompts: MakePrompts) -> None:
    files.write_all(tmp_path, {f"{at}_0.png": files.png(at) for at in (1, 2, 3)})
    with pytest.raises(ImageImportError, match="numbered up to 3 and none has number 0"):
        look(tmp_path, make_prompts(), "SDXL")
    assert look(tmp_path, make_prompts(), "SDXL", first_index=1).contenders[0].found == 3


@pytest.mark.parametrize(
    ("members", "contenders", "sentence"),
    [
        ({}, ["SDXL"], "there is no file in it"),
        ({"fox.png": files.png()}, ["SDXL"], "follow none of the known layouts"),
        (THREE, [], "it is not said which contender made this image"),
        (THREE, ["SDXL", "Other"], "it is not said which contender made this image"),
    ],
)
def test_what_nobody_can_know_is_asked(
    members: Mapping[str, bytes], contenders: list[str], sentence: str, tmp_path: Path, make_prompts: MakePrompts
) -> None:
    (tmp_path / "in").mkdir()
    files.write_all(tmp_path / "in", members)
    with pytest.raises(ImageImportError, match=sentence):
        look(tmp_path / "in", make_prompts(), *contenders)


def test_files_of_no_prompt_are_a_problem_of_their_own(tmp_path: Path, make_prompts: MakePrompts) -> None:
    files.write_all(tmp_path, {"17_0.png": files.png()})
    (problem,) = look(tmp_path, make_prompts(), "SDXL").problems
    assert problem.startswith("No file is of any prompt of this set")


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("0_0.png")
    info.external_attr = 0o120777 << 16
    return info


def many_entries() -> bytes:
    return files.zip_of({f"{at}_0.png": b"" for at in range(20_001)})


def lying_directory() -> bytes:
    """Says that it has two entries, in a list of 40 MB."""
    data = bytearray(files.zip_of({"0_0.png": files.png(), "1_0.png": files.png()}))
    at = data.rfind(b"PK\x05\x06")
    data[at + 12 : at + 16] = (40 * 2**20).to_bytes(4, "little")
    return bytes(data)


BAD_ZIPS: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb of 200 MB": (lambda: files.zip_of({"0_0.png": bytes(200 * 2**20)}), "0_0.png: the file is larger than 32 MB"),
    "zip in a zip": (lambda: files.zip_of({"a.zip": files.zip_of({"0_0.png": files.png()})}), "holds another archive"),
    "too many entries": (many_entries, "more than 20,000 entries"),
    "a list that lies": (lying_directory, "more than 20,000 entries"),
    "link": (lambda: files.zip_of({link(): b"/etc/passwd"}), "0_0.png: the archive holds a link"),
    "slip": (lambda: files.zip_of({"../../0_0.png": files.png()}), "a file name leads out of the folder"),
    "absolute": (lambda: files.zip_of({"/etc/0_0.png": files.png()}), "a file name leads out of the folder"),
    "no zip": (lambda: b"PK\x03\x04 nothing more", "neither a folder nor a zip archive"),
    "cut": (lambda: files.zip_of({"0_0.png": files.png()})[:-10], "neither a folder nor a zip archive"),
}


@pytest.mark.once
@pytest.mark.parametrize("case", BAD_ZIPS)
def test_a_dangerous_zip_is_refused(case: str, tmp_path: Path, make_prompts: MakePrompts) -> None:
    make, sentence = BAD_ZIPS[case]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.zip").write_bytes(make())
    with pytest.raises(ImageImportError) as refused:
        look(tmp_path / "in" / "a.zip", make_prompts(), "SDXL")
    assert sentence in str(refused.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_an_entry_that_unpacks_to_more_than_it_says_is_a_problem(tmp_path: Path, make_prompts: MakePrompts) -> None:
    data = bytearray(files.zip_of({"0_0.png": bytes(40 * 2**20)}))
    at = data.find(b"PK\x01\x02")
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")  # its size, in the list
    (tmp_path / "a.zip").write_bytes(bytes(data))
    (problem,) = look(tmp_path / "a.zip", make_prompts(), "SDXL").problems
    assert problem.startswith("0_0.png: ")


def test_an_import_that_breaks_off_keeps_whole_chunks_and_goes_on_when_done_again(
    tmp_path: Path, make_prompts: MakePrompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No writer waits for the whole of a large import: rows come in transactions of their own."""
    files.write_all(tmp_path, THREE)
    monkeypatch.setattr(storing, "ROWS_AT_ONCE", 2)
    make_row, rows_made = storing._image, 0

    def fail_at_the_third(*arguments: Any) -> Image:
        nonlocal rows_made
        rows_made += 1
        if rows_made == 3:
            raise KeyboardInterrupt
        return make_row(*arguments)

    monkeypatch.setattr(storing, "_image", fail_at_the_third)
    prompts = make_prompts(["0", "1", "2"])
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, prompts, "SDXL")
    assert Image.objects.count() == 2
    report = run(tmp_path, prompts, "SDXL")
    assert (report.contenders[0].already, report.contenders[0].found) == (2, 1)
    assert Image.objects.count() == 3
