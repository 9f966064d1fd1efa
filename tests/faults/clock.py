"""A wall clock that a test can set for processes it starts: a small C library, built once and loaded before libc."""

import shutil
import subprocess
from pathlib import Path


class ShiftedClock:
    """`environment` is for the processes whose clock is to be moved; `is_there` is false where nothing can be built."""

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "clock-offset"
        library = folder / "shifted_clock.so"
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is not None:
            source = Path(__file__).with_name("shifted_clock.c")
            subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
        self.is_there = library.exists()
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._offset)} if self.is_there else {}

    def set(self, seconds: int) -> None:
        """So far from the true time, from now on; a reader never sees half a number."""
        draft = self._offset.with_suffix(".draft")
        draft.write_text(str(seconds))
        draft.rename(self._offset)
