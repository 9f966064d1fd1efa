"""Our image worker beside a bare diffusers loop over the same recipes: wall and CPU time, and where it goes.

python -m benchmarks.generation                                  # the shipped tiny-sd3 on the CPU, 4 and 28 steps
python -m benchmarks.generation --network sd3 --size full --dtype bfloat16 --device cuda --steps 28
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import machine

WARM = 2


@dataclass
class Spent:
    """Seconds over all rounds."""

    wall: float = 0.0
    cpu: float = 0.0
    images: int = 0
    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def main() -> None:
    """Measure each number of steps in a place of our own."""
    options = _options()
    with place_for(options) as place:
        _run(options, place)


@contextmanager
def place_for(options: Any) -> Iterator[Path]:
    """A folder with a database, a store and, but for the shipped model, a models root of its own."""
    place = Path(tempfile.mkdtemp(prefix="winrate-generation-"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    os.environ |= {
        "WINRATE_DATA_DIR": str(place / "data"),
        "CELERY_BROKER_URL": "memory://",
        "WINRATE_DEVICE": options.device,
        "WINRATE_MODEL_MEMORY": "60GiB",
        "WINRATE_LOG_LEVEL": "ERROR",
    }
    if options.network != "tiny-sd3":
        os.environ["WINRATE_MODELS_ROOT"] = str(place / "models")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=("tiny-sd3", "sd3", "sdxl"), default="tiny-sd3")
    parser.add_argument("--size", choices=("small", "full"), default="full", help="of sd3 and sdxl")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 28])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=16, help="in a round")
    return parser.parse_args()


def _run(options: Any, place: Path) -> None:
    import torch
    from django.conf import settings

    from benchmarks.generation_peer import BareLoop
    from generation.checkpoints import register_checkpoint, resolve_checkpoint
    from generation.pipelines import environment
    from generation.pipelines.loading import DTYPES, use_few_threads

    side = (64, 64)
    if options.network != "tiny-sd3":
        from benchmarks.networks import build

        folder = place / "models" / options.network
        side = build(options.network, options.size, folder, dtype=DTYPES[options.dtype], device=options.device)
    use_few_threads()
    checkpoint = resolve_checkpoint(register_checkpoint(name=options.network, source=options.network))
    if checkpoint.refusal:
        raise SystemExit(checkpoint.refusal)
    folder = Path(settings.MODELS_ROOT) / options.network
    bare = BareLoop(folder, device=options.device, dtype=DTYPES[options.dtype], pictures=place / "bare")
    print(f"{environment.device_name(options.device)}; {machine()}; {torch.get_num_threads()} threads of torch")
    print(f"{options.network} ({options.size}), {side[0]} x {side[1]}, {options.dtype}, {options.rounds} rounds")
    for steps in options.steps:
        compare(options, checkpoint, bare, steps=steps, side=side)


def compare(options: Any, checkpoint: Any, bare: Any, *, steps: int, side: tuple[int, int]) -> None:
    """Both ways in turn, `options.rounds` times after a round that warms up."""
    recipe, arguments = recipe_of(checkpoint, options, steps=steps, side=side)
    spent = {name: Spent() for name in ("bare loop", "worker, 1 at once", "worker, batches")}
    for number in range(options.rounds + 1):
        results = spent if number else {name: Spent() for name in spent}  # the first round warms up
        count = options.images if number else WARM
        with _busy_share() as busy:
            plan(recipe, f"a{number}", count)
            _measure(results["worker, 1 at once"], partial(_work, recipe, count, most=1), count)
            _measure(results["bare loop"], partial(_loop, bare, arguments, f"b{number}", count), count)
            plan(recipe, f"c{number}", count)
            _measure(results["worker, batches"], partial(_work, recipe, count, most=8), count)
    _show(spent, steps=steps, busy=busy)


def recipe_of(checkpoint: Any, options: Any, *, steps: int, side: tuple[int, int]) -> tuple[Any, dict[str, Any]]:
    """The recipe, and the same as the arguments of a pipeline's call."""
    from generation.recipes import get_recipe, resolve_recipe
    from generation.schedules import few_step_sigmas, get_schedule

    is_flow = options.network != "sdxl"
    sigmas = few_step_sigmas(steps) if is_flow else None
    schedule = (
        get_schedule(steps=steps, sigmas=sigmas, shift=3.0)
        if is_flow
        else get_schedule(steps=steps, scheduler_class="EulerDiscreteScheduler")
    )
    # What the shipped model was trained with; the others have no T5, whose place the pipeline fills with zeros.
    call_options = {"max_sequence_length": 18 if options.network == "tiny-sd3" else 77} if is_flow else {}
    recipe = resolve_recipe(
        get_recipe(
            name=f"{steps} steps",
            checkpoint=checkpoint,
            schedule=schedule,
            guidance=3,
            width=side[0],
            height=side[1],
            dtype=options.dtype,
            call_options=call_options,
        )
    )
    if recipe.refusal:
        raise SystemExit(recipe.refusal)
    arguments = {"num_inference_steps": steps, "guidance_scale": 3.0, "width": side[0], "height": side[1]}
    return recipe, arguments | call_options | ({"sigmas": sigmas} if sigmas else {})


def _measure(spent: Spent, act: Callable[[], dict[str, float]], count: int) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    parts = act()
    spent.cpu += time.process_time() - cpu
    spent.wall += time.perf_counter() - wall
    spent.images += count
    for name, seconds in parts.items():
        spent.parts[name] += seconds


def _loop(bare: Any, arguments: dict[str, Any], name: str, count: int) -> dict[str, float]:
    for number in range(count):
        bare.draw(f"a red circle {name} {number}", seed=hash((name, number)) % 2**31, arguments=arguments)
    return {}


def plan(recipe: Any, name: str, count: int) -> None:
    """A run that wants so many images."""
    # Planning belongs to the page or command that asks, not to the worker: it is not timed.
    from generation.planning import start_run

    prompts = [f"a red circle {name} {number}" for number in range(count)]
    start_run(name=name, owner=None, recipes=[recipe], prompt_texts=prompts)


def _draw_at_once(recipe: Any, most: int) -> None:
    # By the limit that a device's memory would have taught: jobs are claimed as always, and drawn in parts.
    from generation import batch_limits, making
    from generation.models import BatchLimit

    making.wake_up()
    BatchLimit.objects.all().delete()
    batch_limits.learn(recipe, device=making.device_name(), largest=most)


def _work(recipe: Any, count: int, *, most: int) -> dict[str, float]:
    from generation import worker

    _draw_at_once(recipe, most)
    with _watched() as parts:
        made = 0
        while taken := worker.work_one_batch("benchmark"):
            made += taken
    if made != count:
        raise SystemExit(f"{made} of {count} images were made.")
    return parts


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """Seconds in each part of the worker's way, by wrapping what it calls."""
    from django.db import connection

    from generation import image_store
    from generation.pipelines import sampling

    parts: dict[str, float] = defaultdict(float)

    def timed(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return act(*arguments, **options)
            finally:
                parts[name] += time.perf_counter() - began

        return call

    kept = sampling.sample, sampling.encode_png, image_store.put

    def sample(loaded: Any, request: Any, **options: Any) -> Any:
        decode = loaded.pipe.vae.decode
        loaded.pipe.vae.decode = timed("decode", decode)
        try:
            return timed("sampling with decode", kept[0])(loaded, request, **options)
        finally:
            loaded.pipe.vae.decode = decode

    sampling.sample = sample
    sampling.encode_png, image_store.put = timed("PNG", kept[1]), timed("storage", kept[2])
    try:
        with connection.execute_wrapper(lambda execute, *rest: timed("database", execute)(*rest)):
            yield parts
    finally:
        sampling.sample, sampling.encode_png, image_store.put = kept


@contextmanager
def _busy_share() -> Iterator[list[int]]:
    """Percent of time in which the graphics card worked, a few times a second; empty without one."""
    import torch

    shares: list[int] = []
    end = threading.Event()

    def look() -> None:
        while not end.wait(0.2):
            shares.append(torch.cuda.utilization())

    thread = threading.Thread(target=look, daemon=True)
    if torch.cuda.is_available():
        thread.start()
    try:
        yield shares
    finally:
        end.set()
        if thread.is_alive():
            thread.join()


def _show(spent: dict[str, Spent], *, steps: int, busy: list[int]) -> None:
    base = spent["bare loop"]
    print(f"\n{steps} steps, {base.images} images each")
    print("| way | wall ms an image | CPU ms an image | images/s | wall : bare | CPU : bare |")
    print("|---|---|---|---|---|---|")
    for name, one in spent.items():
        wall, cpu = 1000 * one.wall / one.images, 1000 * one.cpu / one.images
        print(
            f"| {name} | {wall:.1f} | {cpu:.1f} | {one.images / one.wall:.2f} |"
            f" {one.wall / base.wall:.3f} | {one.cpu / base.cpu:.3f} |"
        )
    for name, one in spent.items():
        if one.parts:
            print(f"{name}: " + ", ".join(f"{part} {1000 * s / one.images:.1f} ms" for part, s in one.parts.items()))
    if busy:
        print(f"The graphics card was busy {sum(busy) / len(busy):.0f} % of the last round.")


if __name__ == "__main__":
    main()
