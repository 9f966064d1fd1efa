"""The admin's views of generation: mostly for looking, because rows that images rest on never change."""

from generation.admin import checkpoints, images, metrics, prompt_sets, recipes, runs, workers

__all__ = ["checkpoints", "images", "metrics", "prompt_sets", "recipes", "runs", "workers"]
