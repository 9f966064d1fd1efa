"""Counted votes as rows that others train on: the columns of Pick-a-Pic, and triples for DPO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from arena.models import Vote

Row = dict[str, Any]

# As the data set of that name has them; criterion and the last two are ours.
PICK_A_PIC: Final = (
    *("ranking_id", "caption", "image_0_uid", "image_1_uid", "best_image_uid", "label_0", "label_1", "has_label"),
    *("are_different", "model_0", "model_1", "user_id", "created_at", "criterion", "choice"),
)
DPO: Final = ("prompt", "chosen", "rejected", "chosen_model", "rejected_model", "criterion", "rater")
_LABELS: Final = {"left": (1.0, 0.0), "right": (0.0, 1.0), "tie": (0.5, 0.5), "both_bad": (0.5, 0.5)}


def pick_a_pic(rows: Iterator[Row]) -> Iterator[Row]:
    """Image 0 is the left one. A tie is a half for either, and so is "both bad"; a skip has no label."""
    for number, row in enumerate(rows, start=1):
        label = _LABELS.get(row["choice"])
        images = (row["left_image"], row["right_image"])
        best = "tie" if label == (0.5, 0.5) else images[label == (0.0, 1.0)]
        yield {
            "ranking_id": number,
            "caption": row["prompt_text"],
            "image_0_uid": images[0],
            "image_1_uid": images[1],
            "best_image_uid": best if label else "",
            "label_0": label[0] if label else None,
            "label_1": label[1] if label else None,
            "has_label": label is not None,
            "are_different": images[0] != images[1] or row["left"] != row["right"],
            "model_0": row["left"],
            "model_1": row["right"],
            "user_id": row["rater"],
            "created_at": row["cast_at"],
            "criterion": row["criterion"],
            "choice": row["choice"],
        }


def dpo(rows: Iterator[Row]) -> Iterator[Row]:
    """One triple for each vote that decides between two images; ties, skips and votes without images are left out."""
    for row in rows:
        if row["choice"] not in (Vote.Choice.LEFT, Vote.Choice.RIGHT):
            continue
        chosen, rejected = ("left", "right") if row["choice"] == Vote.Choice.LEFT else ("right", "left")
        images = row[f"{chosen}_image"], row[f"{rejected}_image"]
        if all(images):
            yield {
                "prompt": row["prompt_text"],
                "chosen": f"images/{images[0]}.png",
                "rejected": f"images/{images[1]}.png",
                "chosen_model": row[chosen],
                "rejected_model": row[rejected],
                "criterion": row["criterion"],
                "rater": row["rater"],
                "choice": row["choice"],
            }
