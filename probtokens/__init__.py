"""Probabilistic surrogates of shocked porous energetic materials: micro tokens, meso coupling, calibrated ensembles."""

import os

__version__ = "0.1.0"

# OpenMP reads its settings when torch is loaded, so this cannot wait. Threads that wait spin for some microseconds, then give
# their core away: without spinning two threads are no faster than one, and spinning for ever makes two of them five times slower
# than one beside other work. What the user has set stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
