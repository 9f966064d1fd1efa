"""`manage.py import_metrics`: every shape of file, and every refusal with its line and nothing stored."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from arena.automatic_metrics import columns_of
from arena.measuring import prompts_digest_of
from arena.models import Study
from generation.models import Image, Metric
from tests.arena.factories import make_image, make_study

pytestmark = pytest.mark.django_db

Write = Callable[[str | bytes], Path]


@pytest.fixture
def study() -> Study:
    return make_study(contenders=3, prompts=3, copies=False)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "scores.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def said(path: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    call_command("import_metrics", str(path), *arguments)
    return capsys.readouterr().out.strip()


def test_numbers_of_contenders_are_kept_over_the_studys_prompts(
    study: Study, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = list(study.contenders.order_by("position").values_list("label", flat=True))
    path = write("contender,metric,value\n" + "".join(f'"{label}",FID,{k}.5\n' for k, label in enumerate(labels)))
    assert said(path, "--study", "colours", capsys=capsys) == "3 numbers added, 0 there already, 0 replaced."
    assert list(Metric.objects.values_list("recipe__name", "name", "value", "source", "prompts_digest")) == [
        (label, "FID", k + 0.5, "import scores.csv", prompts_digest_of(study)) for k, label in enumerate(labels)
    ]
    assert said(path, "--study", "colours", capsys=capsys) == "0 numbers added, 3 there already, 0 replaced."
    (column,) = columns_of(study)
    assert sorted(value.value for value in column.values.values()) == [0.5, 1.5, 2.5]


def test_json_lines_name_images_by_file_or_by_request(write: Write, study: Study) -> None:
    first, second = Image.objects.order_by("pk")[:2]
    lines = [
        {"image": first.file_sha256.upper(), "metric": "HPS v2", "value": 0.27},
        {"image": second.request_digest, "metric": "HPS v2", "value": -1e-3},
    ]
    call_command("import_metrics", str(write("\n".join(map(json.dumps, lines)))), "--source", "our cluster")
    assert list(Metric.objects.values_list("image", "name", "value", "source")) == [
        (first.pk, "HPS v2", 0.27, "our cluster"),
        (second.pk, "HPS v2", -0.001, "our cluster"),
    ]


def test_cells_of_a_study_are_its_images(write: Write, study: Study) -> None:
    image = Image.objects.order_by("pk").last()
    assert image is not None
    prompt = image.prompt_text.replace('"', '""')
    path = write(f'prompt,contender,sample,metric,value\n"{prompt}","{image.recipe.name}",0,aesthetic,6.1\n')
    call_command("import_metrics", str(path), "--study", "colours")
    assert list(Metric.objects.values_list("image", "value")) == [(image.pk, 6.1)]


def test_another_value_is_refused_until_it_is_to_replace_the_old_one(
    study: Study, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    label = study.contenders.order_by("position").values_list("label", flat=True)[1]
    call_command("import_metrics", str(write(f'contender,metric,value\n"{label}",FID,3\n')), "--study", "colours")
    other = write(f'contender,metric,value\n"{label}",IS,1\n"{label}",FID,4\n')
    with pytest.raises(
        CommandError, match=r"scores\.csv, line 3: value is 4, but FID is there .* as 3: give --replace"
    ):
        call_command("import_metrics", str(other), "--study", "colours")
    assert list(Metric.objects.values_list("name", "value")) == [("FID", 3)]
    capsys.readouterr()
    replaced = said(other, "--study", "colours", "--replace", capsys=capsys)
    assert replaced == "1 numbers added, 0 there already, 1 replaced."
    assert sorted(Metric.objects.values_list("name", "value")) == [("FID", 4), ("IS", 1)]


GOOD = '"colours-0, 1 steps",FID,1\n'
HEAD = "contender,metric,value\n"


@pytest.mark.once
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "line 1: the file is empty"),
        (HEAD, "line 1: the file is empty: it has a header but no rows"),
        ("model,metric,value\na,b,1\n", "line 1: the column contender is missing; there are model, metric, value"),
        ("contender,value\na,1\n", "line 1: the column metric is missing"),
        ("image,contender,metric,value\na,b,c,1\n", "line 1: names both images and cells"),
        (HEAD + GOOD + '"colours-0, 1 steps",FID,much\n', "line 3: value must be a number, not 'much'"),
        (HEAD + GOOD + '"colours-0, 1 steps",IS,nan\n', "line 3: value must be a number, not 'nan'"),
        (HEAD + GOOD + '"colours-0, 1 steps",IS,1e999\n', "line 3: value must be a number, not '1e999'"),
        (HEAD + GOOD + '"colours-0, 1 steps",IS,\n', "line 3: value is empty"),
        (
            HEAD + GOOD + "nobody,FID,1\n",
            "line 3: contender 'nobody' is not in the study colours; there are 'colours-0",
        ),
        (HEAD + GOOD + GOOD, "line 3: 'FID' of the same target stands in line 2 already"),
        (
            HEAD + GOOD + f'"colours-0, 1 steps",{"x" * 200_000},1\n',
            "line 3: metric is longer than 60 characters: 'xxx",
        ),
        (HEAD + GOOD + '"colours-0, 1 steps",checker,1\n', "line 3: metric is 'checker', which the picture checker"),
        (HEAD + GOOD + '"colours-0, 1 steps,FID,1\n', "scores.csv, after line 2: unexpected end"),
        (HEAD + GOOD + "a,b\n", "line 3: "),
        ((HEAD + GOOD).encode() + b"a\0,b,1\n", "line 3: holds a NUL byte"),
        ((HEAD + GOOD).encode() + "é,b,1\n".encode("latin-1"), "line 3: is not UTF-8"),
        ((HEAD + GOOD).encode("utf-16"), "scores.csv, line 1: "),
        ("image,metric,value\n" + "0" * 64 + ",FID,1\n", "line 2: image '0000"),
        (
            "prompt,contender,sample,metric,value\nx,colours,0,FID,1\n",
            "line 2: contender 'colours' is not in the study",
        ),
        ('prompt,contender,sample,metric,value\nx,"colours-0, 1 steps",0,FID,1\n', "line 2: prompt 'x' is not in"),
        ('prompt,contender,sample,metric,value\nx,"colours-0, 1 steps",0.5,FID,1\n', "line 2: sample must be a whole"),
        (
            'prompt,contender,sample,metric,value\n"a sign that says ""W0""","colours-0, 1 steps",7,FID,1\n',
            "line 2: 'colours-0, 1 steps' has no image of ",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_line_and_nothing_is_stored(
    content: str | bytes, sentence: str, study: Study, write: Write
) -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("import_metrics", str(write(content)), "--study", "colours")
    assert sentence in str(refusal.value)
    assert len(str(refusal.value)) < 500 and "\n" not in str(refusal.value)
    assert not Metric.objects.exists()


def test_contenders_need_a_study_and_a_study_must_exist(study: Study, write: Write, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="say of which study: --study SHORT_NAME"):
        call_command("import_metrics", str(write(HEAD + GOOD)))
    with pytest.raises(CommandError, match=r"There is no study 'none'. Known: colours."):
        call_command("import_metrics", str(write(HEAD + GOOD)), "--study", "none")
    with pytest.raises(CommandError, match="cannot be read: no such file"):
        call_command("import_metrics", str(tmp_path / "nothing.csv"))


def test_a_file_hash_of_several_prompts_is_refused_and_of_one_prompt_is_all_its_images(
    study: Study, write: Write
) -> None:
    recipes = [contender.recipe for contender in study.contenders.order_by("position")]
    equal = [make_image(recipe=recipe, prompt_text="one more", data=None) for recipe in recipes[:2]]
    Image.objects.filter(pk__in=[image.pk for image in equal]).update(file_sha256="a" * 64)
    path = write("image,metric,value\n" + "a" * 64 + ",HPS,1\n")
    call_command("import_metrics", str(path))
    assert set(Metric.objects.values_list("image", flat=True)) == {image.pk for image in equal}
    Image.objects.filter(pk=Image.objects.order_by("pk").values("pk")[:1]).update(file_sha256="a" * 64)
    with pytest.raises(CommandError, match="was made for several prompts: give the request digest instead"):
        call_command("import_metrics", str(path), "--source", "again")
