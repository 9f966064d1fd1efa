"""How often each attack is tried: a few dozen times in the suite, as often as `ATTACKS` says elsewhere."""

import os
from typing import Final

ATTACKS: Final = int(os.environ.get("ATTACKS", "60"))
