"""A stored picture as an answer: its bytes, or the order to the nginx in front to send the file itself."""

from collections.abc import Mapping

from django.conf import settings
from django.http import Http404, HttpResponse

from generation import image_store
from generation.errors import GenerationError

INTERNAL = {True: "/_images/", False: "/_bucket/"}
"""The locations of deploy/nginx that only such an order reaches: by whether files lie in a folder."""


def answer_with(sha256: str, *, suffix: str, content_type: str, headers: Mapping[str, str]) -> HttpResponse:
    """The file under this hash; who may have it is decided before.

    With WINRATE_IMAGES_BY_NGINX nothing is read here. nginx keeps our type, disposition and Cache-Control, and drops
    whatever tells files apart. Raises Http404 where the file is not there.
    """
    if settings.IMAGES_BY_NGINX:
        place = INTERNAL[image_store.is_folder()]
        order = {"X-Accel-Redirect": place + image_store.front_address(sha256, suffix=suffix)}
        return HttpResponse(content_type=content_type, headers={**headers, **order})
    try:
        data = image_store.read(sha256, suffix=suffix)
    except GenerationError as unreadable:
        raise Http404 from unreadable
    return HttpResponse(data, content_type=content_type, headers=dict(headers))
