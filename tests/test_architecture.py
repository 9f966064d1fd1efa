"""The import arrows: who may use whom. A wrong arrow fails here, with the line that draws it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PRODUCT = ("evalsite", "generation", "arena")
EDGES = ("views", "api", "admin", "management", "urls")
HEAVY = ("torch", "diffusers", "transformers")
HEAVY_HOMES = ("generation.pipelines", "generation.training")


@dataclass(frozen=True)
class Import:
    """One import as written: `names` are the modules it may load, `at_import` is False inside a function."""

    module: str
    line: int
    names: tuple[str, ...]
    at_import: bool

    def loads(self, *packages: str) -> bool:
        return any(is_within(name, package) for name in self.names for package in packages)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_in(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module, those under `if TYPE_CHECKING` left out: they load nothing."""

    def walk(node: ast.AST, *, at_import: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                yield Import(module, child.lineno, tuple(alias.name for alias in child.names), at_import)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    ups = child.level - is_package
                    package = module.split(".")[: len(module.split(".")) - ups]
                    base = ".".join([*package, *([base] if base else [])])
                names = tuple(f"{base}.{alias.name}" for alias in child.names)
                yield Import(module, child.lineno, (base, *names), at_import)
            else:
                is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, at_import=at_import and not is_function)

    yield from walk(ast.parse(source), at_import=True)


def layer_of(module: str) -> str:
    """edge, tasks, act or models; the layers of one app, from the outside in. Migrations and apps are Django's own."""
    parts = module.split(".")
    if len(parts) == 1:
        return "package"
    second = parts[1]
    if second in EDGES:
        return "edge"
    return second if second in ("tasks", "models", "migrations", "apps") else "act"


def complaints(found: Import) -> Iterator[str]:
    """What is wrong with an import, in words."""
    own = layer_of(found.module)
    at = f"{found.module}:{found.line}"
    if is_within(found.module, "generation") and found.loads("arena"):
        yield f"{at}: generation must be usable without arena"
    if is_within(found.module, "arena.ranking") and found.loads("django", "generation", "celery", "evalsite"):
        yield f"{at}: arena/ranking is pure"
    if is_within(found.module, "arena.ranking") and any(
        is_within(name, "arena") and not is_within(name, "arena.ranking") and name != "arena" for name in found.names
    ):
        yield f"{at}: arena/ranking knows nothing of the arena"
    if found.at_import and found.loads(*HEAVY) and not any(is_within(found.module, home) for home in HEAVY_HOMES):
        yield f"{at}: only generation/pipelines and generation/training may import torch and diffusers"
    if found.at_import and found.loads(*HEAVY_HOMES) and not any(is_within(found.module, h) for h in HEAVY_HOMES):
        is_command = is_within(found.module, "generation.management")
        if not is_command:
            yield f"{at}: pipelines and training load torch, so they are imported inside functions"
    for name in found.names:
        if name.split(".")[0] not in PRODUCT:
            continue
        target = layer_of(name)
        same_edge = own == "edge" and found.module.split(".")[0] == name.split(".")[0]
        if target == "edge" and not same_edge and found.module != "evalsite.urls":
            yield f"{at}: nothing imports an edge ({name})"
        if target == "tasks" and own in ("act", "models"):
            yield f"{at}: tasks call acts, never the reverse ({name})"
        if own == "models" and (target == "act" and not is_within(name, "generation.models")):
            yield f"{at}: models import no act module ({name})"
    is_site = is_within(found.module, "evalsite") or found.module == "arena.management.commands.up"
    if found.loads("evalsite") and not is_site:
        yield f"{at}: evalsite only wires; nothing imports it"


def all_complaints(root: Path) -> list[str]:
    paths = [path for package in PRODUCT for path in sorted((root / package).rglob("*.py"))]
    return [
        complaint
        for path in paths
        for found in imports_in(path.read_text(), module_of(path, root), is_package=path.name == "__init__.py")
        for complaint in complaints(found)
    ]


def test_every_import_points_the_right_way() -> None:
    assert all_complaints(ROOT) == []


PLANTED = {
    "generation/jobs.py": ("from arena.models import Study", "generation must be usable without arena"),
    "generation/planning.py": ("def f():\n    import arena", "generation must be usable without arena"),
    "arena/ranking/tallies.py": ("import django.db", "arena/ranking is pure"),
    "arena/ranking/newton.py": ("from arena.models import Vote", "arena/ranking knows nothing of the arena"),
    "arena/fitting.py": ("import torch", "may import torch and diffusers"),
    "arena/views/home.py": ("from generation.pipelines import loading", "imported inside functions"),
    "arena/voting.py": ("from arena.views import home", "nothing imports an edge (arena.views.home)"),
    "generation/image_store.py": ("from generation import admin", "nothing imports an edge (generation.admin)"),
    "arena/curves.py": ("from arena import tasks", "tasks call acts, never the reverse (arena.tasks)"),
    "arena/models/study.py": ("from arena import studies", "models import no act module (arena.studies)"),
    "arena/studies.py": ("from evalsite import settings", "nothing imports it"),
}


@pytest.mark.parametrize("path", PLANTED)
def test_a_planted_wrong_import_is_caught(path: str, tmp_path: Path) -> None:
    source, complaint = PLANTED[path]
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    found = all_complaints(tmp_path)
    assert any(complaint in text for text in found), found


ALLOWED = {
    "arena/views/results.py": "from arena.views import home\nfrom arena import voting\nfrom generation import models",
    "generation/worker.py": "def f():\n    from generation.pipelines import sampling",
    "generation/pipelines/loading.py": "import torch",
    "arena/ranking/precision.py": "from arena.ranking import tallies\nfrom . import newton\nimport numpy",
    "arena/tasks.py": "from arena import fitting",
}


@pytest.mark.parametrize("path", ALLOWED)
def test_a_right_import_is_let_through(path: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(ALLOWED[path])
    assert all_complaints(tmp_path) == []


WEB_WITHOUT = ("torch", "diffusers", "transformers", "scipy", "choix", "vl_convert", "pyarrow")


def test_a_web_process_loads_neither_torch_nor_statistics() -> None:
    look = "import sys, evalsite.wsgi, django.urls; django.urls.get_resolver().url_patterns; "
    look += f"print(sorted(set({WEB_WITHOUT!r}) & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_the_default_worker_loads_no_torch() -> None:
    look = "import sys; from evalsite.celery import app; app.loader.init_worker(); app.finalize(); "
    look += "assert 'arena.tasks.refit_changed' in app.tasks; print(sorted({'torch', 'diffusers'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_every_periodic_task_exists_and_goes_to_a_queue_that_is_served() -> None:
    look = "from evalsite.celery import app; app.loader.init_worker(); app.finalize(); "
    look += "print(sorted(e['task'] for e in app.conf.beat_schedule.values() if e['task'] not in app.tasks))"
    shown = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
    queues = {entry["options"]["queue"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert queues == {"default"}


INLINE = {
    "a script": re.compile(r"<script(?![^>]*\bsrc=)[^>]*>", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.IGNORECASE),
    "an event handler": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "a javascript: address": re.compile(r"javascript:", re.IGNORECASE),
    "something from another host": re.compile(r"""<(?:script|link|img)\b[^>]*(?:src|href)\s*=\s*["']?(?:https?:)?//"""),
}


def inline_parts(template: str) -> list[str]:
    """What the content security policy would block in a template."""
    return [what for what, pattern in INLINE.items() if pattern.search(template)]


def test_templates_hold_nothing_that_the_content_security_policy_blocks() -> None:
    paths = sorted((ROOT / "templates").rglob("*.html"))
    assert paths
    found = {str(path.relative_to(ROOT)): inline_parts(path.read_text()) for path in paths}
    assert {path: parts for path, parts in found.items() if parts} == {}


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("<script>go()</script>", "a script"),
        ("<style>p { color: red }</style>", "a style element"),
        ('<p class="a" style="color: red">', "a style attribute"),
        ('<button\n onclick="go()">', "an event handler"),
        ('<a href="javascript:go()">', "a javascript: address"),
        ('<img src="//example.org/a.png">', "something from another host"),
    ],
)
def test_a_planted_inline_part_is_caught(template: str, part: str) -> None:
    assert inline_parts(template) == [part]
