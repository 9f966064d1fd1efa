"""Adapters on a loaded pipeline: read once, then switched; with all of them off it draws what it drew before them."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from generation.errors import GenerationError
from generation.model_folders import AdapterFile
from generation.pipelines.loading import DTYPES, LOAD_ERRORS, LoadedPipeline

MOST_HELD: Final = 16
"""Adapters kept beside one pipeline; when more are wanted, all leave and what is wanted is read again."""


def use_adapters(loaded: LoadedPipeline, adapters: Sequence[AdapterFile]) -> None:
    """Let exactly these adapters act, each with its weight; they are read where they are not held yet."""
    pipe = loaded.pipe
    held = held_adapters(loaded)
    if not adapters:
        if held:
            pipe.disable_lora()
        return
    if not hasattr(pipe, "load_lora_weights"):
        raise GenerationError(f"{loaded.source.pipeline_class} takes no adapters; remove them from the checkpoint.")
    lacking = [adapter for adapter in adapters if adapter.name not in held]
    if lacking and len(held) + len(lacking) > MOST_HELD:
        pipe.unload_lora_weights()
        lacking = list(adapters)
    for adapter in lacking:
        _read(loaded, adapter)
    pipe.enable_lora()
    pipe.set_adapters([adapter.name for adapter in adapters], [adapter.weight for adapter in adapters])


def held_adapters(loaded: LoadedPipeline) -> set[str]:
    """Names of the adapters that are in memory, acting or not."""
    if not hasattr(loaded.pipe, "get_list_adapters"):
        return set()
    return set(chain.from_iterable(loaded.pipe.get_list_adapters().values()))


def _read(loaded: LoadedPipeline, adapter: AdapterFile) -> None:
    pipe: Any = loaded.pipe
    source = loaded.source
    refusal = f"The adapter {adapter.path.name} does not fit {source.folder.name} ({source.pipeline_class})"
    try:
        pipe.load_lora_weights(
            adapter.path.parent,
            weight_name=adapter.path.name,
            adapter_name=adapter.name,
            use_safetensors=True,
            local_files_only=True,
        )
    except LOAD_ERRORS as error:
        # Half an adapter must not stay behind.
        pipe.unload_lora_weights()
        said = str(error).strip().split("\n")[0][:300]
        raise GenerationError(f"{refusal}: {said}") from error
    if adapter.name not in held_adapters(loaded):
        # diffusers only logs that no key of the file matched.
        raise GenerationError(f"{refusal}: it holds no weights for any part of it.")
    pipe.to(source.device, DTYPES[source.dtype])
