"""Raters' copies whose file was lost: forgotten, so that the default worker makes them from the images again."""

from collections.abc import Iterator

from arena.models import DisplayCopy


class CopyFiles:
    """The copies that raters are shown; see `generation.lost_files.KeptFiles`."""

    what = "rater's copy"

    def files(self) -> Iterator[tuple[str, str]]:
        """Of every copy row."""
        hashes = DisplayCopy.objects.order_by("file_sha256").values_list("file_sha256", flat=True)
        for sha256 in hashes.distinct().iterator():
            yield sha256, ".webp"

    def remake(self, sha256: str) -> str:
        """Forget the copies; running studies get new ones within seconds, others when they open."""
        DisplayCopy.objects.filter(file_sha256=sha256).delete()
        return f"The rater's copy {sha256[:12]} is made again from its image."
