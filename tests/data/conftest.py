from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import make_campaign, make_shard


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A sound file of two simulations that the test may damage."""
    return make_shard(tmp_path / "shard_0000.hdf5", n_simulations=2, ny=6, nx=8, n_times=4)


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that tests only read."""
    return make_campaign(tmp_path_factory.mktemp("campaign"), n_train=5, n_valid=2, n_test=2, ny=6, nx=8, n_times=5)
