"""Train the demo models again, from nothing, on this machine."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm


class Command(BaseCommand):
    help = (
        "Train tiny-sd3 and its early checkpoint and write them to the demo models' folder. Stopping with Ctrl-C is"
        " safe: the same command goes on where it stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--steps", type=int, default=7_600, help="training steps of the transformer")
        parser.add_argument("--early-at", type=int, default=1_000, help="step of the early checkpoint")
        parser.add_argument("--decoder-steps", type=int, default=6_000, help="training steps of the picture decoder")
        parser.add_argument(
            "--examples", type=int, default=200, help="held-out captions the model cards are measured on"
        )
        parser.add_argument("--threads", type=int, default=2, help="processor threads")
        parser.add_argument("--work", type=Path, default=None, help="folder of the training state")
        parser.add_argument("--out", type=Path, default=None, help="folder to write the finished checkpoints to")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["early_at"] < options["steps"]:
            raise CommandError("--early-at must lie between 0 and --steps: it is a checkpoint of the same run.")
        import torch

        from generation.training.tiny_sd3 import train_decoder, train_transformer

        torch.set_num_threads(options["threads"])
        work = options["work"] or settings.DATA_DIR / "training" / "tiny-sd3"
        work.mkdir(parents=True, exist_ok=True)
        try:
            self._follow("decoder", train_decoder(work, steps=options["decoder_steps"]), options["decoder_steps"])
            transformer = train_transformer(work, steps=options["steps"], early_at=options["early_at"])
            self._follow("transformer", transformer, options["steps"])
        except KeyboardInterrupt:
            raise CommandError("Stopped. The same command goes on from here.") from None
        self._export(work, options["out"] or settings.MODELS_ROOT, options)

    def _follow(self, what: str, progress: Any, steps: int) -> None:
        with tqdm(total=steps, desc=what, unit="step") as bar:
            for now in progress:
                bar.update(now.step - bar.n)
                bar.set_postfix(loss=f"{now.loss:.4f}")

    def _export(self, work: Path, out: Path, options: dict[str, Any]) -> None:
        import torch

        from generation.training.export import assemble, export_checkpoint

        decoder = torch.load(work / "decoder.pt", weights_only=True)["average"]
        final = torch.load(work / "transformer.pt", weights_only=True)
        early = torch.load(work / "transformer-early.pt", weights_only=True)
        for name, weights, step in (
            ("tiny-sd3-early", early, options["early_at"]),
            ("tiny-sd3", final["average"], final["step"]),
        ):
            pipeline = assemble(transformer_weights=weights, decoder_weights=decoder)
            quality = export_checkpoint(pipeline, name=name, step=step, folder=out / name, examples=options["examples"])
            best = quality[max(quality)]
            self.stdout.write(
                f"{name}: colours {best.colours:.0%}, place {best.place:.0%}, shape {best.shape:.0%},"
                f" words {best.words:.0%}"
            )
