"""What speed and coverage claims rest on. Every linear algebra and JAX is pinned to one thread, ours and the peers'."""

import os

# Before NumPy and JAX are loaded: many threads at one small matrix only get in each other's way.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
