"""How often each attack is tried: a few dozen times in the suite, 1,000 times by `make attacks`, or as ATTACKS says."""

import os
from typing import Final

ATTACKS: Final = int(os.environ.get("ATTACKS", "60"))
