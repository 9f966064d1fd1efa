"""A process that imports a votes file by small batches and is killed by the system in the midst of one of them."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django


def main() -> None:
    """Arguments: file, short name, how many batches are stored before the kill."""
    django.setup()
    from arena import batches, bulk_rows, vote_imports

    left = iter(range(int(sys.argv[3])))

    def prepared(kind: Any, rows: list[Any]) -> Callable[[], list[int]]:
        store = bulk_rows.insertion(kind, rows)

        def stored() -> list[int]:
            made = store()
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return stored

    batches.ROWS_AT_ONCE = 7  # type: ignore[misc]
    setattr(batches, "insertion", prepared)  # noqa: B010 - it is imported there, not of there
    vote_imports.import_votes(Path(sys.argv[1]), slug=sys.argv[2])


if __name__ == "__main__":
    main()
