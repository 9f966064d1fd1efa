"""Which images lack a metric, and the rows that fill the gap."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

from django.db.models import Exists, OuterRef, QuerySet
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from generation import image_store
from generation.errors import GenerationError
from generation.models import Image, Metric
from generation.provenance import digest_of

logger = logging.getLogger(__name__)

ROWS_AT_A_TIME = 500


@dataclass(frozen=True)
class Measured:
    """How far the measuring of some images is. `problems` are sentences on images that could not be measured."""

    done: int
    wanted: int
    problems: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        return self.wanted - self.done


Watch = Callable[[Measured], None]
MetricsOf = Callable[[Sequence[Image], Sequence[PillowImage.Image]], Iterable[Metric]]


def measurable(images: QuerySet[Image]) -> QuerySet[Image]:
    """Those that take part: images in quarantine are shown to nobody, so nothing is measured of them either."""
    return images.filter(is_quarantined=False)


def without_metric(images: QuerySet[Image], *, name: str, source: str) -> QuerySet[Image]:
    """The measurable ones that have no value of that name and source yet, in the order of their making."""
    own = Metric.objects.filter(image=OuterRef("pk"), name=name, source=source)
    return measurable(images).filter(~Exists(own)).order_by("pk")


def fill_gaps(
    images: QuerySet[Image], *, name: str, source: str, metrics_of: MetricsOf, batch: int, watch: Watch
) -> Measured:
    """Measure what lacks the metric `name`, batch by batch; each batch is kept whole before the next begins.

    `metrics_of` gives the rows of images with their pictures. Whoever stops it from `watch` loses one batch at most.
    """
    wanted = measurable(images).count()
    lacking = list(without_metric(images, name=name, source=source).values_list("pk", flat=True))
    progress = Measured(wanted - len(lacking), wanted)
    watch(progress)
    problems: list[str] = []
    for start in range(0, len(lacking), batch):
        chosen = list(images.filter(pk__in=lacking[start : start + batch]).order_by("pk"))
        readable = [(image, picture) for image, picture in _opened(chosen, problems)]
        if readable:
            keep(metrics_of([image for image, _ in readable], [picture for _, picture in readable]))
        progress = Measured(progress.done + len(readable), wanted, tuple(problems))
        watch(progress)
    return progress


def keep(metrics: Iterable[Metric]) -> None:
    """Store rows of images. Of two workers that measured the same image, the first one's row stays."""
    Metric.objects.bulk_create(metrics, ignore_conflicts=True, batch_size=ROWS_AT_A_TIME)


def picture_of(image: Image) -> PillowImage.Image:
    """The stored picture in RGB. Raises GenerationError where its file is missing or no picture."""
    try:
        with PillowImage.open(BytesIO(image_store.read(image.file_sha256, suffix=".png"))) as picture:
            return picture.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise GenerationError(f"The file {image.file_sha256} is no picture; make the image again.") from error


def prompts_digest(text_digests: Iterable[str]) -> str:
    """The name of a set of prompts, whatever their order: over which a recipe's number is."""
    return digest_of(sorted(set(text_digests)))


def _opened(images: Sequence[Image], problems: list[str]) -> Iterator[tuple[Image, PillowImage.Image]]:
    for image in images:
        try:
            yield image, picture_of(image)
        except GenerationError as error:
            logger.warning("Image %d is not measured: %s", image.pk, error)
            problems.append(str(error))
