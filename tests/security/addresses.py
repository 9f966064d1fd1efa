"""Every address that the site answers, from the resolver itself."""

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver


def routes() -> dict[str, str]:
    """Names of all routes with their patterns; one without a name stands under its pattern."""
    return dict(_walk(get_resolver(), namespaces=(), before=""))


def _walk(resolver: URLResolver, *, namespaces: tuple[str, ...], before: str) -> Iterator[tuple[str, str]]:
    for entry in resolver.url_patterns:
        pattern = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            inner = (*namespaces, entry.namespace) if entry.namespace else namespaces
            yield from _walk(entry, namespaces=inner, before=pattern)
        elif isinstance(entry, URLPattern):
            yield ":".join([*namespaces, entry.name or pattern]), pattern
