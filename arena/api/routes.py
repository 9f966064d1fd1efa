"""All addresses of the API. Nothing below it answers without a token, its own description included."""

from typing import Any

from django.http import Http404, HttpRequest
from django.urls import URLPattern
from ninja import NinjaAPI, Router

from arena.api import ballots, boards, contenders, exports, imports, judging, making, prompt_sets, studies
from arena.api.access import PerToken, Token
from arena.api.problems import CONTENT_TYPE, answer_with_problems, only_problems

api = NinjaAPI(
    title="Winrate",
    version="1",
    description="Prompt sets, checkpoints, recipes, runs, contenders whose images are made elsewhere, studies, ballots "
    "for front ends of your own, results, exports and standing leaderboards. Errors are problem details (RFC 9457).",
    urls_namespace="api",
    auth=Token(),
    throttle=PerToken(),
    openapi_url=None,
    docs_url=None,
)
answer_with_problems(api)
api.add_router("/prompt-sets", prompt_sets.router)
api.add_router("/contenders", contenders.router)
api.add_router("/checkpoints", making.checkpoints)
api.add_router("/recipes", making.recipes)
api.add_router("/runs", making.runs)
api.add_router("/studies", studies.router)
api.add_router("/studies", exports.router)
api.add_router("/studies", judging.router)
api.add_router("/studies", ballots.router)
api.add_router("/imports", imports.router)
api.add_router("/boards", boards.router)


@api.get("/openapi.json", include_in_schema=False)
def openapi(request: HttpRequest) -> dict[str, Any]:
    """The description of the API for programs (OpenAPI 3.1)."""
    return description()


def description() -> dict[str, Any]:
    """Every operation, as OpenAPI says it; refusals under the media type that they really have."""
    found = dict(api.get_openapi_schema(path_prefix="/api/v1/"))
    for operations in found["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "content" in response:
                    response["content"] = {CONTENT_TYPE: next(iter(response["content"].values()))}
    return found


elsewhere = Router()


@elsewhere.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:rest}", include_in_schema=False)
def nothing_here(request: HttpRequest, rest: str) -> None:
    """Unknown addresses are problems too."""
    raise Http404


api.add_router("", elsewhere)  # the last: what comes after it would never be reached


def patterns() -> tuple[list[URLPattern], str, str]:
    """For `path()`: addresses, app name, namespace."""
    found, app_name, namespace = api.urls
    return [only_problems(pattern) for pattern in found if isinstance(pattern, URLPattern)], app_name, namespace
