"""Settings for all tests."""

import os

# Before torch is imported, here and in the processes that tests start: on networks this small, threads that
# wait for each other take many times longer than one thread alone.
os.environ["OMP_NUM_THREADS"] = "1"
