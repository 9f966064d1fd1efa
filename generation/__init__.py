"""The generation app."""

import os

# Before MKL is first used: by default it adds up in an order that depends on where in memory the numbers lie, so that
# an image made again now and then differs in its last bits. With this, one machine gives one result at no cost.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
