"""An import that comes a few files at a time: each is kept aside as it arrives, all are taken in by one act."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from generation import image_store
from generation.image_imports.coverage import Report, report_on
from generation.image_imports.importing import Asked, recipes_of
from generation.image_imports.layouts import claims_by_name
from generation.image_imports.manifests import read_manifest
from generation.image_imports.pictures import Facts, read_picture, store
from generation.image_imports.placing import PromptIndex, place
from generation.image_imports.rows import LONGEST_CONTENDER, MOST_SAMPLES, Claim, ImageImportError, Layout, named
from generation.image_imports.sources import check_name
from generation.image_imports.storing import store_images
from generation.models import Image, ImageImport, PromptSet, StagedImage

MOST_MANIFEST_ROWS: Final = 20_000
MOST_STAGED: Final = 20_000
NAME_SAYS_NOTHING: Final = "the name says nothing in this layout"


@dataclass(frozen=True)
class Outcome:
    """What became of one uploaded file; `refusal` is empty where its picture is kept aside."""

    name: str
    refusal: str


@dataclass(frozen=True)
class StagedReport:
    """The report on what was uploaded so far, with what is needed to take it in."""

    report: Report
    facts: Mapping[str, Facts]


def start_import(
    *,
    owner: User,
    prompt_set: PromptSet,
    contender: str,
    layout: Layout,
    first_index: int = 0,
    samples: int | None = None,
    manifest: tuple[str, bytes] | None = None,
) -> ImageImport:
    """An empty import. A manifest (name and bytes) says what its files are of, else their names do."""
    contender = contender.strip()
    if len(contender) > LONGEST_CONTENDER or not contender.isprintable():
        raise ImageImportError(
            "the name is too long or holds control characters", remedy="change it", field="contender"
        )
    if samples is not None and not 1 <= samples <= MOST_SAMPLES:
        raise ImageImportError(
            f"{samples} images of each prompt are not 1 to {MOST_SAMPLES}", remedy="change the number", field="samples"
        )
    claims: list[Claim] = []
    if layout is Layout.MANIFEST:
        if manifest is None:
            raise ImageImportError("there is no manifest", remedy="choose its file", field="manifest")
        claims = read_manifest(manifest[1], file_name=manifest[0])
        if len(claims) > MOST_MANIFEST_ROWS:
            raise ImageImportError(
                f"the manifest has more than {MOST_MANIFEST_ROWS:,} rows",
                remedy="use manage.py import_images",
                field="manifest",
            )
    if not contender and not (claims and all(claim.contender for claim in claims)):
        raise ImageImportError("it is not said whose images these are", remedy="name the contender", field="contender")
    image_import = ImageImport(
        owner=owner,
        prompt_set=prompt_set,
        contender=contender,
        layout=layout,
        first_index=first_index,
        samples=samples,
        claims=[{**asdict(claim), "metadata": dict(claim.metadata)} for claim in claims],
    )
    place(claims, index=_index(image_import), contenders=[contender] if contender else [])
    image_import.save()
    return image_import


def stage_files(image_import: ImageImport, files: Mapping[str, bytes]) -> list[Outcome]:
    """Look at the files and keep them aside; a name that was there before is replaced. Commits nothing."""
    _check_open(image_import)
    if image_import.files.count() + len(files) > MOST_STAGED:
        raise ImageImportError(f"an import holds {MOST_STAGED:,} files", remedy="use manage.py import_images")
    claims = _claims(image_import)
    return [_stage(image_import, _own_name(name, claims), data) for name, data in files.items()]


def report_of(image_import: ImageImport) -> StagedReport:
    """What is there so far, compared with what is wanted."""
    facts: dict[str, Facts] = {}
    refused: dict[str, str] = {}
    for name, picture, refusal in image_import.files.values_list("name", "picture", "refusal"):
        if picture is not None:
            facts[name] = Facts.from_json(picture)
        else:
            refused[name] = refusal
    claims = _claims(image_import)
    if image_import.layout == Layout.MANIFEST:
        said = {claim.file for claim in claims}
        unknown = [name for name in [*facts, *refused] if name not in said]
        claims = [claim for claim in claims if claim.file in facts or claim.file in refused]
    else:
        claims, unknown = claims_by_name([*facts, *refused], layout=Layout(image_import.layout))
    asked = _asked(image_import)
    placement = place(claims, index=asked.index, contenders=asked.contenders, unknown=unknown)
    report = report_on(
        placement,
        index=asked.index,
        facts=facts,
        recipes=recipes_of(placement, asked),
        contenders=asked.contenders,
        samples=asked.samples,
        refused=refused,
    )
    return StagedReport(report, facts)


def commit_import(image_import: ImageImport) -> list[Image]:
    """Make images of everything in the report; twice is refused. Broken off in the middle, it goes on when done again.

    All that takes long (the report, a look at every file) is done before the first row is written.
    """
    image_import = ImageImport.objects.select_related("owner").get(pk=image_import.pk)
    _check_open(image_import)
    staged = report_of(image_import)
    if staged.report.problems:
        raise ImageImportError(staged.report.problems[0].removesuffix("."), remedy="nothing was imported")
    for each in staged.report.to_store:
        if not image_store.exists(staged.facts[each.claim.file].file_sha256, suffix=".png"):
            raise ImageImportError(
                "the uploaded file is no longer there", remedy="upload it again", file_name=each.claim.file
            )
    images = store_images(staged.report.to_store, facts=staged.facts, owner=image_import.owner)
    with transaction.atomic():
        _check_open(ImageImport.objects.select_for_update().get(pk=image_import.pk))
        ImageImport.objects.filter(pk=image_import.pk).update(committed_at=Now())
        image_import.files.all().delete()
    return images


def discard_import(image_import: ImageImport) -> None:
    """Forget an import that was not taken in. Its pictures stay in the store under their hashes until it is swept."""
    _check_open(image_import)
    image_import.delete()


def _stage(image_import: ImageImport, name: str, data: bytes) -> Outcome:
    picture, refusal = None, ""
    try:
        check_name(name)
        if not _says_something(image_import, name):
            refusal = NAME_SAYS_NOTHING
        else:
            picture = store(read_picture(data, file_name=name)).to_json()
    except ImageImportError as error:
        refusal = str(error)
    name = named(name) if len(name) > 300 or not name.isprintable() else name
    StagedImage.objects.update_or_create(
        image_import=image_import, name=name, defaults={"picture": picture, "refusal": refusal}
    )
    return Outcome(name, refusal)


def _says_something(image_import: ImageImport, name: str) -> bool:
    if image_import.layout == Layout.MANIFEST:
        return any(claim["file"] == name for claim in image_import.claims)
    return bool(claims_by_name([name], layout=Layout(image_import.layout))[0])


def _own_name(name: str, claims: Sequence[Claim]) -> str:
    """The name by which the manifest calls an uploaded file: browsers put the chosen folder before it, or no folder."""
    if any(claim.file == name for claim in claims):
        return name
    same = {claim.file for claim in claims if name.endswith(f"/{claim.file}")}
    same = same or {claim.file for claim in claims if claim.file.rpartition("/")[2] == name}
    return same.pop() if len(same) == 1 else name


def _claims(image_import: ImageImport) -> list[Claim]:
    return [Claim(**claim) for claim in image_import.claims]


def _index(image_import: ImageImport) -> PromptIndex:
    return PromptIndex.of_set(image_import.prompt_set, first_index=image_import.first_index)


def _asked(image_import: ImageImport) -> Asked:
    contenders = [image_import.contender] if image_import.contender else []
    return Asked(
        index=_index(image_import), contenders=contenders, owner=image_import.owner, samples=image_import.samples
    )


def _check_open(image_import: ImageImport) -> None:
    if image_import.committed_at is not None:
        raise ImageImportError("this import was taken in already", remedy="begin a new one for further images")
