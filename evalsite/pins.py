"""Whether what is pinned is exact, and what is installed is what is pinned; with the licence of each. No network.

`make audit` runs it, then asks pip-audit for published advisories on the same versions.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final

REQUIREMENTS: Final = ("requirements.txt", "requirements-worker.txt", "requirements-test.txt", "requirements-dev.txt")
CONSTRAINTS: Final = "constraints.txt"
# Tools of the environment itself, and what comes with a build of torch, which differs by platform.
UNPINNED: Final = re.compile(r"pip|setuptools|wheel|triton|torch|nvidia-.*|cuda-.*|intel-.*|mkl|tbb")
_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?==([^\s;*]+)(?:\s*;.*)?")


def pins_of(text: str, name: str) -> tuple[dict[str, str], list[str]]:
    """Versions by normalised package name, and a sentence on each line that names none exactly."""
    found, problems = {}, []
    for number, line in enumerate(text.splitlines(), start=1):
        said = line.split(" #")[0].strip()
        if not said or said.startswith(("#", "-r ")):
            continue
        if (pin := _PIN.fullmatch(said)) is None:
            problems.append(f"{name} line {number}: {said!r} is no exact version: write name==version.")
        else:
            found[normalised(pin[1])] = pin[2]
    return found, problems


def normalised(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(root: Path) -> tuple[dict[str, str], list[str]]:
    """All pins of a checkout, and what is wrong with them."""
    pins, problems = pins_of((root / CONSTRAINTS).read_text(), CONSTRAINTS)
    for unread in sorted({path.name for path in root.glob("requirements*.txt")} - set(REQUIREMENTS)):
        problems.append(f"{unread} is not read: name it in evalsite/pins.py.")
    for name in REQUIREMENTS:
        asked, wrong = pins_of((root / name).read_text(), name)
        problems += wrong
        for package, version in asked.items():
            if pins.setdefault(package, version) != version:
                problems.append(f"{name}: {package} is {version}, in {CONSTRAINTS} it is {pins[package]}.")
    # They go into environments of their own, so their versions need not be ours.
    for file in sorted((root / "benchmarks").glob("requirements*.txt")):
        problems += pins_of(file.read_text(), str(file.relative_to(root)))[1]
    return pins, problems


def not_as_pinned(pins: Mapping[str, str], installed: Iterable[tuple[str, str]]) -> list[str]:
    """A sentence on each installed package that is not pinned, or in another version."""
    problems = []
    for name, version in sorted(installed):
        wanted = pins.get(normalised(name))
        if wanted is None and not UNPINNED.fullmatch(normalised(name)):
            problems.append(f"{name} {version} is installed and not pinned.")
        elif wanted is not None and version.split("+")[0] != wanted.split("+")[0]:
            problems.append(f"{name} is installed in version {version}, pinned to {wanted}.")
    return problems


def licence_of(distribution: Distribution) -> str:
    """What a package says its licence is, in a few words."""
    said: Any = distribution.metadata  # an email.message.Message, of which typeshed shows less
    kinds = (line.rpartition(" :: ") for line in said.get_all("Classifier", []))
    classified = [kind for before, _, kind in kinds if before.startswith("License")]
    words = said.get("License-Expression") or "; ".join(classified) or (said.get("License") or "").split("\n")[0]
    return words.strip()[:60] or "not said"


def main(root: Path) -> int:
    """Print every installed package with version and licence, then what is wrong; how many things are."""
    pins, problems = read_pins(root)
    here = {normalised(each.name): each for each in distributions()}
    for name, each in sorted(here.items()):
        print(f"{name:40} {each.version:20} {licence_of(each)}")
    problems += not_as_pinned(pins, [(each.name, each.version) for each in here.values()])
    print(f"\n{len(here)} packages installed, {len(pins)} pinned.", *problems, sep="\n")
    return len(problems)


if __name__ == "__main__":
    sys.exit(min(1, main(Path(__file__).resolve().parent.parent)))
