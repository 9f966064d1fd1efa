"""Finished images with their originals, for people who may see which recipe made them: never for raters."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generation import image_store
from generation.admin.reading import ReadOnlyAdmin, pretty
from generation.errors import GenerationError
from generation.models import Image

THUMBNAIL_PIXELS = 128


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    """What came out; only for looking. Withdrawing an image has a page of its own where votes are known."""

    list_display = ("thumbnail", "recipe", "prompt_text", "sample", "seconds", "is_quarantined", "safety", "created_at")
    list_filter = ("is_quarantined", ("recipe", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("recipe",)
    search_fields = ("prompt_text", "file_sha256", "request_digest")
    show_full_result_count = False
    list_per_page = 50
    view_on_site = False  # `safety` says what is to be done there
    readonly_fields = (
        *("picture", "recipe", "prompt_text", "sample", "seed", "width", "height", "size_bytes", "seconds"),
        *("file_sha256", "pixels_sha256", "request_digest", "how_it_was_made", "provenance_digest", "created_at"),
        *("is_quarantined", "quarantine_reason", "safety"),
    )
    fields = readonly_fields

    def get_urls(self) -> list[URLPattern]:
        original = self.admin_site.admin_view(self.original)
        return [path("<int:pk>/original.png", original, name="generation_image_original"), *super().get_urls()]

    def original(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The stored file, if its bytes still have its hash."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        image = Image.objects.filter(pk=pk).first()
        if image is None:
            raise Http404("There is no such image.")
        try:
            data = image_store.read(image.file_sha256, suffix=".png", verify=True)
        except GenerationError as error:
            return HttpResponse(str(error), status=404, content_type="text/plain; charset=utf-8")
        return HttpResponse(data, content_type="image/png", headers={"Cache-Control": "private, max-age=86400"})

    @admin.display
    def thumbnail(self, image: Image) -> SafeString:
        """Small, by the browser."""
        scale = THUMBNAIL_PIXELS / max(image.width, image.height)
        return _shown(image, width=round(image.width * scale), height=round(image.height * scale))

    @admin.display
    def picture(self, image: Image) -> SafeString:
        """As it is."""
        return _shown(image, width=image.width, height=image.height)

    @admin.display
    def safety(self, image: Image) -> SafeString | str:
        """The page of the image on this site, where the settings name one."""
        if not hasattr(image, "get_absolute_url"):
            return "–"
        return format_html('<a href="{}">report, withdraw or restore</a>', image.get_absolute_url())

    @admin.display(description="provenance")
    def how_it_was_made(self, image: Image) -> SafeString:
        """Everything needed to make it again."""
        return pretty(image.provenance)


def _shown(image: Image, *, width: int, height: int) -> SafeString:
    address = reverse("admin:generation_image_original", args=[image.pk])
    return format_html(
        '<a href="{}"><img src="{}" alt="" width="{}" height="{}" loading="lazy"></a>', address, address, width, height
    )
