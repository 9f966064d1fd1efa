"""Which sentences of raters' pages there are to translate, and compiled catalogues without the gettext programs.

`python -m tests.catalogues` compiles every .po below locale/ and names what has no translation yet.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import polib
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LOCALES = ROOT / "locale"
MARKS = {"_", "gettext", "gettext_lazy", "ngettext"}
_STRING = r"u?(\"\"\".*?\"\"\"|'''.*?'''|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
_CALL = re.compile(rf"\b(?:_|n?gettext)\({_STRING}", re.DOTALL)


def in_sources() -> set[str]:
    """Every marked sentence of the arena's code and of the templates, singular form."""
    return {msgid for folder in (ROOT / "arena", ROOT / "templates") for msgid in _in_folder(folder)}


def compile_all() -> list[str]:
    """Write each .mo from its .po; returns what is missing, as sentences."""
    missing = []
    for path in sorted(LOCALES.glob("*/LC_MESSAGES/*.po")):
        catalogue = polib.pofile(str(path), wrapwidth=0)
        catalogue.save_as_mofile(str(path.with_suffix(".mo")))
        done = {entry.msgid for entry in catalogue.translated_entries()}
        missing += [f"{path.relative_to(ROOT)} has no translation of {msgid!r}" for msgid in in_sources() - done]
    return sorted(missing)


def _in_folder(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        yield from _in_python(path.read_text())
    for path in folder.rglob("*.html"):
        for found in _CALL.finditer(templatize(path.read_text())):
            yield ast.literal_eval(found[1]).replace("%%", "%")


def _in_python(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS and node.args):
            continue
        said = node.args[0]
        if not (isinstance(said, ast.Constant) and isinstance(said.value, str)):
            raise ValueError(f"a sentence to translate must be written out, not put together: {ast.unparse(node)}")
        yield said.value


if __name__ == "__main__":
    for sentence in compile_all():
        print(sentence)
    sys.exit(0)
