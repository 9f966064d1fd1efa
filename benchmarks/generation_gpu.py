"""What a graphics card does with our sampling: equal bits, memory that runs out, and pictures a second.

python -m benchmarks.generation_gpu same       # tiny-sd3 made twice; beside a CPU; in other types
python -m benchmarks.generation_gpu batches    # tiny-sd3, batches of 1 to 256
python -m benchmarks.generation_gpu network sdxl --batches 1 2 4   # random weights at a published size, 1024 x 1024
python -m benchmarks.generation_gpu memory sdxl                    # the card nearly full: what the worker does
"""

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import generation as beside
from benchmarks.generation_peer import BareLoop
from benchmarks.networks import build
from generation.pipelines import environment
from generation.pipelines.loading import DTYPES, LoadedPipeline, Source, load
from generation.pipelines.sampling import BatchRequest, sample
from generation.pipelines.schedules import ScheduleSpec
from generation.pipelines.texts import TextCache

TINY = Path(__file__).parents[1] / "generation" / "demo_models" / "tiny-sd3"
WORDS = ("red circle", "blue star", "green ring", "pink heart", "yellow cross", "orange square", "grey triangle")
GROUNDS = ("black", "white", "brown")
GIBI = 2**30
PUBLISHED = {"sd3": "StableDiffusion3Pipeline", "sdxl": "StableDiffusionXLPipeline"}


def main() -> None:
    """One of the four looks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("look", choices=("same", "batches", "network", "memory", "digests"))
    parser.add_argument("network", nargs="?", choices=sorted(PUBLISHED), default="sdxl")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--images", type=int, default=4, help="each way, in the comparison with a bare loop")
    options = parser.parse_args()
    print(f"{environment.device_name(options.device)}; {json.dumps(environment.versions())}", flush=True)
    looks = {"same": same, "digests": digests, "batches": batches, "network": network, "memory": memory}
    looks[options.look](options)


def tiny(device: str, dtype: str) -> LoadedPipeline:
    """The shipped tiny-sd3 on a device."""
    return load(Source(folder=TINY, pipeline_class="StableDiffusion3Pipeline", dtype=dtype, device=device))


def asked(count: int, *, steps: int = 28, rows: int = 0, first: int = 0, of: str = "tiny-sd3") -> BatchRequest:
    """A batch of different prompts, by the schedules that the demo's studies use."""
    is_flow, sigmas = of != "sdxl", tuple(np.linspace(1, 1 / steps, steps).tolist())
    spec = (
        ScheduleSpec("FlowMatchEulerDiscreteScheduler", steps, 1.0, sigmas, ())
        if is_flow
        else ScheduleSpec("EulerDiscreteScheduler", steps, None, None, ())
    )
    side = 64 if of == "tiny-sd3" else 1024
    prompts = tuple(
        f"a {WORDS[k % 7]} in the centre on a {GROUNDS[k // 7 % 3]} background" for k in range(first, first + count)
    )
    return BatchRequest(
        prompts=prompts,
        seeds=tuple(range(1000 + first, 1000 + first + count)),
        spec=spec,
        guidance=3.0,
        width=side,
        height=side,
        negative_prompt="",
        call_options={"max_sequence_length": 18 if of == "tiny-sd3" else 77} if is_flow else {},
        rows=rows,
    )


def drawn(loaded: LoadedPipeline, request: BatchRequest) -> np.ndarray:
    """The pictures, int16 (n, height, width, 3)."""
    return np.stack(sample(loaded, request).pictures).astype(np.int16)


def digest(pictures: np.ndarray) -> str:
    """Short, of the pixels."""
    return hashlib.sha256(pictures.tobytes()).hexdigest()[:12]


def digests(options: Any) -> None:
    """Of the pictures of one batch in each type: run it in two processes to compare them."""
    for dtype in DTYPES:
        print("digest", dtype, digest(drawn(tiny(options.device, dtype), asked(8))), flush=True)


def same(options: Any) -> None:
    """Whether equal requests give equal pictures, and how far apart unequal ways to make them are."""
    reference = drawn(tiny("cpu", "float32"), asked(8))
    print("| what | beside | equal pictures | values off | largest step of 255 | PSNR dB |\n|---|---|---|---|---|---|")
    for dtype in DTYPES:
        loaded = tiny(options.device, dtype)
        first = drawn(loaded, asked(8))
        _row(f"{dtype}, batch of 8", "the CPU's float32, batch of 8", first, reference)
        for _ in range(5):
            again = drawn(loaded, asked(8))
            if digest(again) != digest(first):
                break
        _row(f"{dtype}, batch of 8, five times more", "itself", again, first)
        fresh = tiny(options.device, dtype)
        drawn(fresh, asked(3))
        _row(f"{dtype}, loaded anew, after another batch", "itself", drawn(fresh, asked(8)), first)
        alone = np.concatenate([drawn(loaded, asked(1, first=k)) for k in range(8)])
        _row(f"{dtype}, one at once", "batch of 8", alone, first)
        whole, part = drawn(loaded, asked(4, rows=4)), drawn(loaded, asked(1, rows=4))
        _row(f"{dtype}, one picture in strict rows", "four pictures in strict rows", part, whole[:1])
        print(f"digest {dtype} {digest(first)}", flush=True)


def _row(what: str, other: str, one: np.ndarray, two: np.ndarray) -> None:
    off = np.abs(one - two)
    mean = float((off.astype(float) ** 2).mean())
    psnr = "equal" if mean == 0 else f"{10 * np.log10(255**2 / mean):.1f}"
    pictures = sum(not picture.any() for picture in off)
    print(
        f"| {what} | {other} | {pictures} of {len(off)} | {100 * (off > 0).mean():.2f} % | {off.max()} | {psnr} |",
        flush=True,
    )


def batches(options: Any) -> None:
    """The tiny model in batches of 1 to 256: pictures a second with texts known and with texts new."""
    print("| type | batch | images/s, texts known | images/s, texts new | peak GiB |\n|---|---|---|---|---|")
    for dtype in ("float32", "bfloat16"):
        loaded = tiny(options.device, dtype)
        for count in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            request = asked(count, steps=options.steps)
            known = TextCache(budget_bytes=GIBI)
            sample(loaded, request, texts=known)
            _reset_peak()
            rounds = 3 if count < 64 else 2
            with_texts = [_seconds(partial(sample, loaded, request, texts=known)) for _ in range(rounds)]
            new = [_seconds(partial(sample, loaded, request)) for _ in range(2)]
            print(
                f"| {dtype} | {count} | {count / statistics.median(with_texts):.1f} |"
                f" {count / statistics.median(new):.1f} | {_peak():.2f} |",
                flush=True,
            )


def network(options: Any) -> None:
    """Random weights at a published size: batches by `sample`, then our worker beside a bare loop."""
    with _built(options) as (checkpoint, folder, side):
        source = Source(
            folder=folder, pipeline_class=PUBLISHED[options.network], dtype=options.dtype, device=options.device
        )
        loaded, seconds = _timed(partial(load, source))
        print(f"{options.network} in {options.dtype}: {loaded.size_bytes / GIBI:.2f} GiB, loaded in {seconds:.1f} s")
        print("| batch | s a batch | images/s | peak GiB |\n|---|---|---|---|")
        texts = TextCache(budget_bytes=GIBI)
        sample(loaded, _sized(asked(1, steps=2, of=options.network), side), texts=texts)
        for count in options.batches:
            request = _sized(asked(count, steps=options.steps, of=options.network), side)
            sample(loaded, _sized(asked(count, steps=2, of=options.network), side), texts=texts)
            _reset_peak()
            took = _seconds(partial(sample, loaded, request, texts=texts))
            print(f"| {count} | {took:.2f} | {count / took:.3f} | {_peak():.2f} |", flush=True)
        del loaded, texts
        _give_back()
        bare = BareLoop(folder, device=options.device, dtype=DTYPES[options.dtype], pictures=folder.parents[1] / "bare")
        beside.compare(options, checkpoint, bare, steps=options.steps, side=side)


def memory(options: Any) -> None:
    """The card filled up to what one picture needs, then to less: what the worker does about it."""
    with _built(options) as (checkpoint, _, side):
        from generation import worker
        from generation.models import BatchLimit, Image, ImageJob
        from generation.regeneration import regenerate

        recipe, _ = beside.recipe_of(checkpoint, options, steps=options.steps, side=side)
        peaks = {}
        for count in (1, 2):
            BatchLimit.objects.all().delete()
            beside.plan(recipe, f"peak {count}", count)
            _reset_peak()
            worker.work_one_batch("benchmark", most=count)
            peaks[count] = _peak()
        print(f"peak GiB of one {peaks[1]:.2f}, of two {peaks[2]:.2f}; limits learnt: {_limits()}")
        held = torch.cuda.memory_allocated() / GIBI
        rooms = {"room for one": (peaks[1] + peaks[2]) / 2, "room for none": held + 0.3 * (peaks[1] - held)}
        for name, room in rooms.items():
            BatchLimit.objects.all().delete()
            beside.plan(recipe, name, 4)
            with _only(room, options.device):
                while worker.work_one_batch("benchmark"):
                    pass
            jobs = list(ImageJob.objects.filter(prompt_text__contains=name))
            states = [f"{job.state} after {job.attempts}" for job in jobs]
            said = jobs[0].reason or "no reason"
            print(f"{name} ({room:.2f} GiB): {states}; limits learnt: {_limits()}; {said}")
        BatchLimit.objects.all().delete()
        beside.plan(recipe, "with room again", 2)
        made = worker.work_one_batch("benchmark")
        print(f"with room again: {made} taken; images in all {Image.objects.count()}; limits learnt: {_limits()}")
        for found in regenerate(Image.objects.order_by("-pk")[:3]):
            told = [str(difference) for difference in found.differences]
            print(f"made again in a batch of {found.batch_size}: {found.verdict}, {told or 'nothing differs here'}")


def _limits() -> list[tuple[str, int]]:
    from generation.models import BatchLimit

    return list(BatchLimit.objects.values_list("device", "largest"))


@contextmanager
def _only(gibibytes: float, device: str) -> Iterator[None]:
    """Leave this process so much of the card in all; the rest is taken for real."""
    _give_back()
    free, _ = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device)
    taken = torch.empty(int(free + held - gibibytes * GIBI), dtype=torch.uint8, device=device)
    try:
        yield
    finally:
        del taken
        _give_back()


@contextmanager
def _built(options: Any) -> Iterator[tuple[Any, Path, tuple[int, int]]]:
    """A checkpoint of random weights in a database and a models root of its own."""
    options.rounds = 1
    beside.WARM = 1
    with beside.place_for(options) as place:
        from generation.checkpoints import register_checkpoint, resolve_checkpoint

        folder = place / "models" / options.network
        side, seconds = _timed(
            partial(build, options.network, options.size, folder, dtype=DTYPES[options.dtype], device=options.device)
        )
        print(f"built in {seconds:.1f} s", flush=True)
        _give_back()
        checkpoint, seconds = _timed(
            lambda: resolve_checkpoint(register_checkpoint(name=options.network, source=options.network))
        )
        print(f"registered and hashed in {seconds:.1f} s", flush=True)
        if checkpoint.refusal:
            raise SystemExit(checkpoint.refusal)
        yield checkpoint, folder, side


def _sized(request: BatchRequest, side: tuple[int, int]) -> BatchRequest:
    return replace(request, width=side[0], height=side[1])


def _timed(act: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    found = act()
    return found, time.perf_counter() - began


def _seconds(act: Any) -> float:
    _settle()
    began = time.perf_counter()
    act()
    _settle()
    return time.perf_counter() - began


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> float:
    return torch.cuda.max_memory_allocated() / GIBI if torch.cuda.is_available() else float("nan")


def _give_back() -> None:
    from generation.pipelines.memory import give_back

    give_back()


if __name__ == "__main__":
    main()
