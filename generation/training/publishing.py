"""Exported checkpoints go from a staging folder to where they are used, with the parts they share; whole or not at all.

A checkpoint's folder looks complete to every reader: the parts it shares with the others are links to the files in
`parts/`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

PARTS = "parts"
STAGING = ".exporting"
_OWN = ("transformer", "unet", "scheduler")


class ExportError(ValueError):
    """An export that would leave other checkpoints with the wrong parts; nothing was changed."""


def share_parts(folder: Path, parts: Path, *, own: Sequence[str] = ()) -> None:
    """Move the files of every part that other checkpoints have as well to `parts`, and link to them.

    `own` names parts that only this checkpoint has, beside its denoiser and scheduler.

    Raises ExportError where a part of that name is there with other content: the family would no longer share it.
    """
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        if part.name in (*_OWN, *own):
            continue
        # Latent diffusion's CLIP class has no projection, so its file is another one.
        is_plain = 'CLIPTextModel"' in (folder / "model_index.json").read_text() and part.name == "text_encoder"
        shared = parts / (f"plain_{part.name}" if is_plain else part.name)
        for file in sorted(path for path in part.rglob("*") if path.is_file()):
            target = shared / file.relative_to(part)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and target.read_bytes() != file.read_bytes():
                raise ExportError(f"{target.relative_to(parts.parent)} differs between members of one export.")
            os.replace(file, target)
            file.symlink_to(os.path.relpath(target, file.parent))


def publish(staging: Path, out: Path) -> None:
    """Move what was exported to `out`, over the checkpoints of the same names.

    A shared part that has changed, as the autoencoder does with its decoder, replaces the old one where every
    checkpoint that links to it is exported too.

    What stood there before ends in `staging`, for the caller to remove. Raises ExportError where a checkpoint outside
    this export links to a part that has changed.
    """
    names = sorted(folder.name for folder in staging.iterdir() if folder.name != PARTS)
    others = sorted(
        folder.name
        for folder in out.iterdir()
        if folder.is_dir() and folder.name not in (*names, PARTS, STAGING) and _is_linked(folder)
    )
    fresh, kept = staging / PARTS, out / PARTS
    parts = [path.relative_to(fresh) for path in sorted(fresh.rglob("*")) if path.is_file()]
    changed = [file for file in parts if _has_changed(fresh / file, kept / file)]
    if changed and others:
        raise ExportError(
            f"{PARTS}/{changed[0]} has changed and {', '.join(others)} still need the old one, so nothing was exported:"
            " export the whole family (give no names), or move those folders away."
        )
    old = staging / "old"
    old.mkdir()
    if parts and not others:
        _move(kept, old / PARTS)
    for file in parts:
        (kept / file).parent.mkdir(parents=True, exist_ok=True)
        os.replace(fresh / file, kept / file)
    for name in names:
        _move(out / name, old / name)
        os.replace(staging / name, out / name)


def _move(source: Path, target: Path) -> None:
    if source.exists():
        os.replace(source, target)


def _is_linked(folder: Path) -> bool:
    return any(path.is_symlink() for path in folder.rglob("*"))


def _has_changed(file: Path, before: Path) -> bool:
    return before.exists() and before.read_bytes() != file.read_bytes()
