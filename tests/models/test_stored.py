"""Weights that were stored by this and by earlier versions load, and forecast what they forecast then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import probtokens as pt
from probtokens.models.files import kind_in
from tests.models.store import STORED, forecast


@pytest.mark.parametrize("path", sorted(STORED.glob("*.pt")), ids=lambda path: path.stem)
def test_stored_weights_load_and_forecast_as_they_did(path: Path) -> None:
    model = pt.load(path)
    assert kind_in(path) == path.stem.rsplit("_", 1)[1]
    expected = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    np.testing.assert_allclose(forecast(model).numpy(), expected, rtol=1e-4, atol=1e-3)


def test_there_are_small_weights_of_both_kinds() -> None:
    assert {path.stem.rsplit("_", 1)[1] for path in STORED.glob("*.pt")} == {"micro", "meso"}
    assert all(path.stat().st_size < 100_000 for path in STORED.iterdir())
