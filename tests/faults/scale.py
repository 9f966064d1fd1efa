"""How large the faults are: small in every test run, as large as production's with FAULTS=full."""

import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Scale:
    """Sizes and seconds; the worker processes get the last four from the environment, as production would."""

    images: int
    kills: int
    redis_restarts: int
    seconds_down: float
    seconds_hung: float
    lease: float
    beat: float
    reconcile: float
    step: float

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
    images=12, kills=2, redis_restarts=2, seconds_down=2, seconds_hung=3, lease=4.5, beat=1.5, reconcile=1, step=6
)
FULL: Final = Scale(
    images=200, kills=5, redis_restarts=5, seconds_down=30, seconds_hung=60, lease=60, beat=10, reconcile=15, step=60
)
SCALE: Final = FULL if IS_FULL else SMALL
