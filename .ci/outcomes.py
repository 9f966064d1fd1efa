"""Print what the test runs left out, and fail where any of it lies outside tests/gpu."""

import json
import sys
from pathlib import Path

LEFT_OUT = ("deselected", "skipped", "unreported", "xfailed", "xpassed")
MAY_BE_LEFT_OUT = "tests/gpu/"


def main(paths: list[str]) -> int:
    """The exit code: 1 where a test was left out that should have run, or where none ran."""
    is_bad = False
    for path in paths:
        outcomes = json.loads(Path(path).read_text())
        counts = outcomes["counts"]
        print(f"{Path(path).stem}: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
        refused = [
            f"{outcome}: {test}"
            for outcome in LEFT_OUT
            for test in outcomes["tests"][outcome]
            if not test.startswith(MAY_BE_LEFT_OUT)
        ]
        print("".join(f"  {line}\n" for line in refused), end="")
        is_bad = is_bad or bool(refused) or counts["passed"] == 0
    if is_bad:
        print("Tests outside tests/gpu were left out, or none ran.")
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
