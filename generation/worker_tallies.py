"""What this worker process has done so far and what it holds; its heartbeat carries it into the database."""

import os
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone


@dataclass
class Tallies:
    """Since the process began. Memory in bytes, 0 as long as nothing was drawn: of the graphics card or the process."""

    images_made: int = 0
    seconds_working: float = 0.0
    out_of_memory: int = 0
    memory_used: int = 0
    memory_peak: int = 0
    memory_total: int = 0
    started_at: datetime = field(default_factory=timezone.now)

    def note_memory(self, *, used: int, peak: int, total: int) -> None:
        """What was measured after a batch."""
        self.memory_used, self.memory_peak, self.memory_total = used, max(peak, used), total

    def begin(self) -> None:
        """This process begins now, and has done nothing."""
        vars(self).update(vars(Tallies()))


tallies = Tallies()
# A pool's process is forked from one that had imported all this long before.
os.register_at_fork(after_in_child=tallies.begin)
