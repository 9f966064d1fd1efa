"""The only inference code that imports torch and diffusers. It knows no Django models: values in, arrays out."""

import os

# Before torch loads libgomp: its waiting threads otherwise spin, which on a busy machine costs ten times the work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
# Local folders only; a missing file must be an error, not a request to a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
# Their advice on packages that we do without fills every worker's log; errors still come through.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
