"""How large the faults are: small in every test run, as large as production's with FAULTS=full."""

import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Scale:
    """Sizes and seconds; the worker processes get lease, beat, reconcile and step from the environment."""

    images: int
    kills: int
    redis_restarts: int
    seconds_down: float
    seconds_hung: float
    lease: float
    beat: float
    reconcile: float
    step: float
    raters: int
    vote_rate: float
    web_kills: int
    seconds_locked: float
    database_restarts: int

    @property
    def environment(self) -> dict[str, str]:
        """Settings of the worker processes."""
        return {
            "WINRATE_LEASE_SECONDS": str(self.lease),
            "WINRATE_BEAT_SECONDS": str(self.beat),
            "WINRATE_RECONCILE_SECONDS": str(self.reconcile),
            "WINRATE_STEP_SECONDS": str(self.step),
        }


IS_FULL: Final = os.environ.get("FAULTS") == "full"
SMALL: Final = Scale(
    images=12,
    kills=2,
    redis_restarts=2,
    seconds_down=2,
    seconds_hung=3,
    lease=4.5,
    beat=1.5,
    reconcile=1,
    step=6,
    raters=6,
    vote_rate=10,
    web_kills=3,
    seconds_locked=3,
    database_restarts=1,
)
FULL: Final = Scale(
    images=200,
    kills=5,
    redis_restarts=5,
    seconds_down=30,
    seconds_hung=60,
    lease=60,
    beat=10,
    reconcile=15,
    step=60,
    raters=20,
    vote_rate=20,
    web_kills=20,
    seconds_locked=10,
    database_restarts=5,
)
SCALE: Final = FULL if IS_FULL else SMALL
