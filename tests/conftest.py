"""Settings for all tests."""

import os

# Before torch is imported, here and in the processes that tests start: on networks this small, threads that
# wait for each other take many times longer than one thread alone.
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.tally import Tally

# On a machine with other work a time limit tells nothing of the code.
settings.register_profile("shared_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared_machine")


@pytest.fixture
def tally(record_property: Callable[[str, Any], None]) -> Iterator[Tally]:
    """What became of damaged inputs, noted for docs/reliability.md."""
    counted = Tally(record_property)
    yield counted
    counted.close()
