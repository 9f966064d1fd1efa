"""What the code never does, read from the code itself: unpickle, run what it is given, ask addresses it is given."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from django.conf import settings

ROOT: Final = Path(settings.BASE_DIR)
# Module -> why it may speak to another machine. None of them takes an address from a page, a file or the API.
SPEAKS: Final = {
    "generation/hub_download.py": "an image worker: weights at a pinned commit, from the hub's own address",
    "generation/pipelines/clip.py": "an image worker: CLIP's weights, likewise",
    "evalsite/box/life.py": "the box asks its own web server whether it answers",
    "winrate_client.py": "a program of the researcher's own, on their machine",
}
NETWORK: Final = (
    *("urllib.request", "http.client", "requests", "httpx", "aiohttp", "urllib3", "ftplib", "smtplib"),
    *("huggingface_hub", "boto3", "paramiko", "websockets"),
)
RUN_WHAT_THEY_ARE_GIVEN: Final = ("eval", "exec", "__import__", "os.system", "os.popen")
UNSAFE_MODULES: Final = (
    "pickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "joblib",
    "yaml",
    "xml.etree",
    "xml.dom",
    "lxml",
)
LOAD_WEIGHTS: Final = ("from_pretrained", "load_lora_weights", "lora_state_dict", "load_textual_inversion")
WITHOUT_WEIGHTS: Final = re.compile(r"(Tokenizer|Processor|ProcessorPil|Scheduler)\.from_pretrained$")


# Most files hold none of these words, and parsing all of them takes seconds.
WORTH_A_LOOK: Final = re.compile(
    "|".join(re.escape(word) for word in (*NETWORK, *UNSAFE_MODULES, "__import__", "torch.load", "np.load", "shell"))
    + r"|\beval\(|\bexec\(|os\.(system|popen)|trust_remote|use_safetensors|from_pretrained|load_lora|\.raw\(|\.extra\("
)


@functools.cache
def product() -> list[tuple[str, ast.AST]]:
    """Every piece of the product's code that imports or calls something, with its file."""
    return [each for each in _pieces() if isinstance(each[1], ast.Import | ast.ImportFrom | ast.Call)]


def _pieces() -> Iterator[tuple[str, ast.AST]]:
    for folder in ("arena", "generation", "evalsite", "."):
        files = ROOT.glob("*.py") if folder == "." else (ROOT / folder).rglob("*.py")
        for file in sorted(files):
            text = file.read_text()
            for node in ast.walk(ast.parse(text)) if WORTH_A_LOOK.search(text) else ():
                yield str(file.relative_to(ROOT)), node


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def is_of(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def name_of(node: ast.AST) -> str:
    """The dotted name of what is called; what stands before a call or an index in it is left out."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(node: ast.AST) -> Iterator[str]:
    """What is dangerous about one piece of code."""
    yield from (name for name in imported(node) if is_of(name, UNSAFE_MODULES))
    if not isinstance(node, ast.Call):
        return
    called = name_of(node.func)
    said = {each.arg: getattr(each.value, "value", "?") for each in node.keywords}
    if called in RUN_WHAT_THEY_ARE_GIVEN or called.endswith((".raw", ".extra")):
        yield called
    for name, unsafe in (("shell", True), ("trust_remote_code", True), ("use_safetensors", False)):
        if said.get(name, not unsafe) != (not unsafe):
            yield f"{called}({name})"
    # diffusers and transformers take a pickle where they find no safetensors, unless they are told not to.
    loads = called.rpartition(".")[2] in LOAD_WEIGHTS and not WITHOUT_WEIGHTS.search(called)
    if loads and said.get("use_safetensors") is not True:
        yield f"{called}(use_safetensors)"
    if called == "torch.load" and said.get("weights_only") is not True:
        yield called
    if called in ("np.load", "numpy.load") and said.get("allow_pickle") is not False:
        yield called


def test_nothing_is_unpickled_and_nothing_given_is_run() -> None:
    assert [(file, fault) for file, node in product() for fault in faults(node)] == []


def test_only_these_modules_speak_to_other_machines_of_their_own() -> None:
    found = {file for file, node in product() if any(is_of(name, NETWORK) for name in imported(node))}
    assert found == set(SPEAKS)


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from xml.etree import ElementTree", "eval(text)", "torch.load(file)"),
        *("np.load(file)", "Pipeline.from_pretrained(x, trust_remote_code=True)", "run(words, shell=True)"),
        *("Pipeline.from_pretrained(x)", "type(model).from_pretrained(x, dtype=y)", "pipe.load_lora_weights(x)"),
        *("Pipeline.from_pretrained(x, use_safetensors=given)", "Pipeline.from_pretrained(x, **given)"),
        *("Pipeline.from_pretrained(x, use_safetensors=False)", "torch.load(file, weights_only=False)"),
    ],
)
def test_the_watch_sees_what_it_is_for(code: str) -> None:
    assert [fault for node in ast.walk(ast.parse(code)) for fault in faults(node)]
