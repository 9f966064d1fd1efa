"""Train the demo models again, from nothing, on this machine; or say what is shipped and what each one costs."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from generation.errors import GenerationError
from generation.model_folders import read_json
from generation.training import family

SHARED, DECODER, SPELLING = "shared", "decoder", "spelling"


class Command(BaseCommand):
    help = (
        "Train the demo family: tiny SD3s under four formulations, a tiny latent diffusion model, a LoRA adapter."
        " Without names all of them, one after another. Stopping with Ctrl-C is safe: the same command"
        " goes on where it stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help=f"members: {', '.join(family.MEMBERS)}; spelling: tiny-sd3 learns words, on a GPU",
        )
        parser.add_argument("--list", action="store_true", help="show budgets and what is shipped; trains nothing")
        parser.add_argument(
            "--contact-sheet",
            type=Path,
            metavar="PNG",
            help="draw the shipped models side by side into this file; trains nothing",
        )
        parser.add_argument("--captions", type=int, default=12, help="columns of the contact sheet")
        parser.add_argument("--minutes", type=float, default=None, help="stop after this long; go on another time")
        parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
        parser.add_argument("--threads", type=int, default=1, help="processor threads; more than one seldom pays here")
        parser.add_argument("--work", type=Path, default=None, help="folder of the training states")
        parser.add_argument("--out", type=Path, default=None, help="folder to write the finished checkpoints to")
        parser.add_argument(
            "--from-shipped", action="store_true", help="where a training state is missing, go on from shipped weights"
        )
        parser.add_argument("--examples", type=int, default=200, help="held-out captions the cards are measured on")
        parser.add_argument("--no-export", action="store_true", help="train only; export with a later call")

    def handle(self, *args: Any, **options: Any) -> None:
        out = options["out"] or settings.MODELS_ROOT
        if options["list"]:
            self._list(Path(out))
            return
        if options["contact_sheet"]:
            self._draw_contact_sheet(Path(out), options)
            return
        if unknown := [name for name in options["names"] if name not in (*family.MEMBERS, SHARED, DECODER, SPELLING)]:
            raise CommandError(f"There is no member {unknown[0]!r}; choose from {', '.join(family.MEMBERS)}.")
        ends = None if options["minutes"] is None else time.monotonic() + 60 * options["minutes"]
        shop = self._workshop(options)
        if options["from_shipped"]:
            self._recover(shop)
        try:
            for stage in self._stages(shop, options["names"]):
                self._follow(stage, ends)
        except KeyboardInterrupt:
            raise CommandError("Stopped. The same command goes on from here.") from None
        if not options["no_export"]:
            self._export(shop, Path(out), options)

    def _workshop(self, options: dict[str, Any]) -> Any:
        import torch

        from generation.training.stages import Workshop

        torch.set_num_threads(options["threads"])
        device = options["device"]
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise CommandError("There is no CUDA device here; use --device cpu.")
        folder = options["work"] or settings.DATA_DIR / "training"
        folder.mkdir(parents=True, exist_ok=True)
        return Workshop(folder, device=device)

    def _recover(self, shop: Any) -> None:
        from generation.training.shipped import recover_states

        for said in recover_states(shop, Path(settings.MODELS_ROOT)):
            self.stdout.write(said)

    def _stages(self, shop: Any, names: list[str]) -> Iterator[Any]:
        """Shared parts first, then members in the order of the family; made when due, as each reads earlier ones."""
        from generation.training import stages

        yield from stages.shared_stages(shop)
        if names == [SHARED]:
            return
        for member in family.MEMBERS.values():
            if not names or member.name in names:
                yield stages.member_stage(shop, member)
            if member.spelling and (SPELLING in names or (not names and shop.device != "cpu")):
                yield stages.spelling_stage(shop, member)
        if not names or DECODER in names:
            yield stages.decoder_stage(shop)

    def _follow(self, stage: Any, ends: float | None) -> None:
        progress = stage.run()
        with tqdm(total=stage.steps, desc=stage.name, unit="step") as bar:
            for now in progress:
                bar.update(now.step - bar.n)
                bar.set_postfix(loss=f"{now.loss:.4f}")
                if ends is not None and time.monotonic() > ends and now.step < now.steps:
                    progress.close()
                    raise CommandError(
                        f"Stopped after the {stage.name}'s step {now.step:,} of {now.steps:,}: the minutes are over."
                        " The same command goes on from here."
                    )

    def _export(self, shop: Any, out: Path, options: dict[str, Any]) -> None:
        from generation.training.export import export_family
        from generation.training.publishing import ExportError

        wanted = options["names"]
        spelled = [member.name for member in family.MEMBERS.values() if member.spelling and SPELLING in wanted]
        names = [name for name in family.MEMBERS if name in (*wanted, *spelled)] or list(family.MEMBERS)
        members = [family.MEMBERS[name] for name in names]
        try:
            for said in export_family(shop, members, out=out, examples=options["examples"]):
                self.stdout.write(said)
        except ExportError as error:
            raise CommandError(str(error)) from error

    def _draw_contact_sheet(self, out: Path, options: dict[str, Any]) -> None:
        import torch

        from generation.training.contact_sheet import draw_contact_sheet

        torch.set_num_threads(options["threads"])
        file = options["contact_sheet"]
        try:
            for said in draw_contact_sheet(out, file, captions=options["captions"]):
                self.stdout.write(said)
        except GenerationError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror or error}.") from error

    def _list(self, out: Path) -> None:
        for member in family.MEMBERS.values():
            self.stdout.write(f"{member.name}: {member.what}")
            self.stdout.write(f"  {member.formulation}, {member.steps:,} steps of {family.BATCH} scenes")
            if plan := member.spelling:
                self.stdout.write(f"  then, on a GPU (spelling): {plan.steps:,} steps of {plan.batch:,} scenes")
            for name in (*member.earlier, member.name):
                self.stdout.write(f"  {name}: {self._shipped(out / name)}")

    def _shipped(self, folder: Path) -> str:
        facts = folder / "checkpoint.json"
        if not facts.exists():
            return "not shipped"
        told = read_json(facts)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
        kind = f"an adapter on {told['adapter_of']}" if "adapter_of" in told else told.get("loss_family", "")
        loss = f", validation loss {told['validation_loss']:.4f}" if "validation_loss" in told else ""
        return f"shipped, step {told['training_step']:,}{loss} ({kind}), {size / 1e6:.1f} MB of its own"
