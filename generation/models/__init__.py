"""The rows of generation: what to draw (prompts), with what (checkpoints, schedules, recipes), and what came out.

Re-exported so that callers write `from generation.models import Image`.
"""

from generation.models.images import Image, ImageJob, Run, RunItem
from generation.models.imports import ImageImport, StagedImage
from generation.models.metrics import Metric, MetricOrder
from generation.models.prompts import Prompt, PromptSet, PromptUpload
from generation.models.recipes import Checkpoint, Recipe, Schedule
from generation.models.workers import BatchLimit, TaskRecord, WorkerHeartbeat

__all__ = [
    "BatchLimit",
    "Checkpoint",
    "Image",
    "ImageImport",
    "ImageJob",
    "Metric",
    "MetricOrder",
    "Prompt",
    "PromptSet",
    "PromptUpload",
    "Recipe",
    "Run",
    "RunItem",
    "Schedule",
    "StagedImage",
    "TaskRecord",
    "WorkerHeartbeat",
]
