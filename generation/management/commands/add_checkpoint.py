"""`manage.py add_checkpoint NAME FOLDER`: register a folder of weights and check it here and now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from generation.adapters import checked_adapters
from generation.checkpoints import check_again, pinned_source, register_checkpoint, resolve_checkpoint
from generation.errors import GenerationError
from generation.models import Checkpoint


class Command(BaseCommand):
    help = "Register a diffusers folder below the models root as a checkpoint, check it, and say whether it is ready."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the checkpoint is called: letters, digits, - and _")
        parser.add_argument(
            "folder",
            help="the folder, relative to the models root (WINRATE_MODELS_ROOT), or a repository: owner/name@COMMIT",
        )
        parser.add_argument("--needs", default="", help="the least machine that may run it, such as gen.gpu24")
        parser.add_argument(
            "--revision",
            default="",
            metavar="COMMIT",
            help="FOLDER is a hub repository, owner/name, of which this commit lies in a hub cache at the models root",
        )
        parser.add_argument(
            "--adapter",
            action="append",
            default=[],
            metavar="PATH[:WEIGHT]",
            help="a LoRA file, or its folder, below the models root, such as my-style:0.8; may be given several times",
        )
        parser.add_argument("--licence", default="", help="wins over checkpoint.json, as the next three do")
        parser.add_argument("--loss-family", default="", help="losses compare only within one family")
        parser.add_argument("--validation-loss", type=float)
        parser.add_argument("--training-step", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            checkpoint = resolve_checkpoint(self._registered(options))
        except GenerationError as error:
            raise CommandError(str(error)) from error
        if checkpoint.state == Checkpoint.State.REFUSED:
            raise CommandError(f"{checkpoint.name} is refused: {checkpoint.refusal}")
        weights = {path: sha256 for path, sha256 in checkpoint.file_hashes.items() if path.endswith(".safetensors")}
        self.stdout.write(
            f"{checkpoint.name} is ready: {checkpoint.pipeline_class},"
            f" {(checkpoint.parameters or 0) / 1e6:,.1f} million parameters,"
            f" {(checkpoint.size_bytes or 0) / 1e6:,.1f} MB."
        )
        for path, sha256 in weights.items():
            self.stdout.write(f"  sha256 {sha256}  {path}")

    def _registered(self, options: dict[str, Any]) -> Checkpoint:
        adapters = checked_adapters([_adapter(text) for text in options["adapter"]])
        repository, revision = pinned_source(options["folder"], options["revision"])
        known = Checkpoint.objects.filter(name=options["name"], source=repository, revision=revision).first()
        if known is not None and known.adapters == adapters and known.state != Checkpoint.State.READY:
            # The folder was mended, and the same command is given again.
            return check_again(known)
        return register_checkpoint(
            name=options["name"],
            source=repository,
            revision=revision,
            adapters=adapters,
            licence=options["licence"],
            loss_family=options["loss_family"],
            validation_loss=options["validation_loss"],
            training_step=options["training_step"],
            needs=options["needs"],
        )


def _adapter(text: str) -> dict[str, Any]:
    path, colon, weight = text.rpartition(":")
    if not colon:
        return {"path": text}
    try:
        return {"path": path, "weight": float(weight)}
    except ValueError as error:
        raise GenerationError(f"--adapter is PATH or PATH:WEIGHT such as my-style:0.8, not {text!r}.") from error
