"""Images made elsewhere: a manifest or a folder as other benchmarks write it becomes external recipes with images."""

from generation.image_imports.coverage import ContenderCoverage, Report
from generation.image_imports.importing import Asked, look_at, open_import, take_in
from generation.image_imports.placing import PromptIndex
from generation.image_imports.rows import ConflictError, ImageImportError, Layout
from generation.image_imports.storing import find_external_recipe, get_external_recipe, get_external_recipes

__all__ = [
    "Asked",
    "ConflictError",
    "ContenderCoverage",
    "ImageImportError",
    "Layout",
    "PromptIndex",
    "Report",
    "find_external_recipe",
    "get_external_recipe",
    "get_external_recipes",
    "look_at",
    "open_import",
    "take_in",
]
