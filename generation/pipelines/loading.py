"""Loading a checked folder with the stock pipeline class: safetensors only, local files only, no code of its own."""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import diffusers
import torch
import transformers
from safetensors import SafetensorError

from generation.errors import GenerationError
from generation.families import FAMILIES, unloaded_components
from generation.model_folders import read_json, scheduler_config

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Their bars would end in every worker's log, and between ours on a terminal.
_diffusers_utils: Any = diffusers.utils
_transformers_utils: Any = transformers.utils
_diffusers_utils.logging.disable_progress_bar()
_transformers_utils.logging.disable_progress_bar()
# What diffusers, transformers and safetensors raise for folders that do not fit together.
LOAD_ERRORS: Final = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError),
    SafetensorError,
)


@dataclass(frozen=True)
class Source:
    """What to load and how; equal sources give the same pipeline, so it is the key of the cache."""

    folder: Path
    pipeline_class: str
    dtype: str
    device: str


@dataclass(frozen=True)
class LoadedPipeline:
    """A pipeline in memory with the scheduler configuration it came with.

    Schedulers are always built from `scheduler_config`: built from each other, options of one leak into the next.
    """

    source: Source
    pipe: Any
    scheduler_config: dict[str, Any]
    size_bytes: int


def load(source: Source) -> LoadedPipeline:
    """Read the weights; a folder that the stock classes cannot load is refused with a sentence."""
    use_few_threads()
    family = FAMILIES[source.pipeline_class]
    pipeline_class = class_at(family.pipeline)
    index = read_json(source.folder / "model_index.json")
    unloaded = unloaded_components(source.pipeline_class)
    absent = {name: None for name, entry in index.items() if entry == [None, None] or name in unloaded}
    try:
        pipe: Any = pipeline_class.from_pretrained(
            source.folder,
            dtype=DTYPES[source.dtype],
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=_diffusers_utils.is_accelerate_available(),
            **absent,
            **family.load_arguments,
        )
        # Once more with the dtype: without accelerate, diffusers keeps a transformer in the dtype of its file where the
        # first tensor, SD3's table of positions, happens to have the type already.
        pipe.to(source.device, DTYPES[source.dtype])
    except LOAD_ERRORS as error:
        said = str(error).strip().split("\n")[0][:300]
        raise GenerationError(f"{source.pipeline_class} cannot load the folder {source.folder.name}: {said}") from error
    pipe.set_progress_bar_config(disable=True)
    return LoadedPipeline(
        source=source,
        pipe=pipe,
        scheduler_config=scheduler_config(source.folder, source.pipeline_class),
        size_bytes=_size_of(pipe),
    )


def class_at(dotted: str) -> Any:
    """The class at a dotted name of our own tables."""
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def use_few_threads() -> None:
    """One thread fewer than there are cores, unless OMP_NUM_THREADS says otherwise: the web keeps a core for itself."""
    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores - 1))


def _size_of(pipe: Any) -> int:
    modules = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
