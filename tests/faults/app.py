"""The product's Celery app with faults that a test can arm while its processes run: one file in $FAULTS_FOLDER each.

Nothing of this is in the product: functions are wrapped here, in processes that only these tests start.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django

from evalsite.celery import app as app

FOLDER = Path(os.environ["FAULTS_FOLDER"])


def armed(fault: str) -> str | None:
    """What the test wrote into the fault's file, or None."""
    with contextlib.suppress(FileNotFoundError):
        return (FOLDER / fault).read_text()
    return None


def fires_once(fault: str) -> bool:
    """True for the one process that takes the fault's file away."""
    with contextlib.suppress(FileNotFoundError):
        (FOLDER / fault).unlink()
        return True
    return False


def is_meant(fault: str, prompts: Sequence[str]) -> bool:
    """Whether a fault is armed for one of these prompts."""
    return (wanted := armed(fault)) is not None and wanted in prompts


def note(line: str) -> None:
    """One line for the test to read; appended whole, whatever happens next."""
    with (FOLDER / "notes").open("a") as file:
        file.write(f"{line}\n")


def die() -> None:
    """As the kernel's out-of-memory killer does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def wrap_sampling() -> None:
    """Faults while a batch is drawn. Loads torch before the pool forks, so that a killed process costs no seconds."""
    import torch
    from diffusers import StableDiffusion3Pipeline  # noqa: F401 - loaded for the forks

    from generation.pipelines import sampling

    draw = sampling.sample

    def sample(loaded: Any, request: Any, *, on_step: Any = None, **rest: Any) -> Any:
        note(f"begin {os.getpid()} {'|'.join(request.prompts)}")

        def after_step() -> None:
            time.sleep(float(armed("slow") or 0))
            if is_meant("kill-at-step", request.prompts) or fires_once("kill-at-step-once"):
                die()
            while is_meant("hang-at-step", request.prompts):
                time.sleep(0.1)
            if is_meant("out-of-memory", request.prompts):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            if on_step is not None:
                on_step()

        return draw(loaded, request, on_step=after_step, **rest)

    sampling.sample = sample


def wrap_storing() -> None:
    """Faults between the file and its row, and a disk without room."""
    from generation import image_store, jobs

    finish, save = jobs.finish, image_store.AtomicFileSystemStorage._save

    def finish_or_die(images: Any) -> int:
        if fires_once("kill-before-commit"):
            die()
        return finish(images)

    def save_or_be_full(self: Any, name: str, content: Any) -> str:
        if armed("disk-full") is not None:
            target = Path(self.path(name)).parent
            target.mkdir(parents=True, exist_ok=True)
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return save(self, name, content)

    jobs.finish = finish_or_die
    image_store.AtomicFileSystemStorage._save = save_or_be_full  # type: ignore[method-assign]


django.setup()
wrap_storing()
if os.environ.get("FAULTS_DRAWS") == "yes":
    wrap_sampling()
