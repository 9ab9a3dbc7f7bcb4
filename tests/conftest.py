"""Settings for all tests."""

import os

# Before torch is imported, here and in the processes that tests start: on networks this small, threads that
# wait for each other take many times longer than one thread alone.
os.environ["OMP_NUM_THREADS"] = "1"

from hypothesis import HealthCheck, settings

# On a machine with other work a time limit tells nothing of the code.
settings.register_profile("shared_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared_machine")
