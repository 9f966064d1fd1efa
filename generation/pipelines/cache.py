"""Pipelines kept in memory, least recently used out first, within a budget of bytes."""

from collections import OrderedDict

from generation.pipelines.adapting import held_adapters
from generation.pipelines.loading import LoadedPipeline, Source, load
from generation.pipelines.memory import give_back


class PipelineCache:
    """One per process and thread: pipelines hold state while they sample, so they are never shared between threads."""

    def __init__(self, *, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._held: OrderedDict[Source, LoadedPipeline] = OrderedDict()

    def get(self, source: Source) -> LoadedPipeline:
        """The pipeline, loaded at first use. One that is larger than the whole budget is kept alone."""
        if source in self._held:
            self._held.move_to_end(source)
            return self._held[source]
        loaded = load(source)
        self._held[source] = loaded
        self._evict()
        return loaded

    def sources(self) -> list[Source]:
        """What is in memory now, least recently used first."""
        return list(self._held)

    def adapters(self, source: Source) -> set[str]:
        """Names of the adapters in memory beside a pipeline, acting or not."""
        return held_adapters(self._held[source]) if source in self._held else set()

    def keep_only(self, source: Source | None) -> None:
        """Let every other pipeline go: memory ran out."""
        for other in [held for held in self._held if held != source]:
            del self._held[other]
        give_back()

    def _evict(self) -> None:
        evicted = False
        while len(self._held) > 1 and sum(held.size_bytes for held in self._held.values()) > self.budget_bytes:
            self._held.popitem(last=False)
            evicted = True
        if evicted:
            give_back()
