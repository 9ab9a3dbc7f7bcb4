"""Persistence repeats the first frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import probtokens as pt
from probtokens.baselines import Persistence
from probtokens.fields import Grid, field_spec

GRID = Grid(ny=4, nx=6, spacing=0.04, time_step=0.125, n_times=3)


def test_every_lead_is_the_first_frame() -> None:
    initial = torch.rand(2, 1, 4, 6, generator=torch.Generator().manual_seed(0))
    frames = list(Persistence([field_spec("temperature")]).forecast(initial, torch.zeros(2, 1), grid=GRID, n_steps=3, n_draws=5, seed=0))
    assert len(frames) == 3
    assert all(torch.equal(frame, initial[None]) for frame in frames)


def test_trajectories_bring_fields_and_grid() -> None:
    data = pt.Trajectories.from_arrays(np.ones((2, 3, 1, 4, 6)), {"height": "m"}, spacing="1 m", time_step="1 s")
    assert (Persistence(data).fields, Persistence(data).grid) == (data.fields, data.grid)
    assert Persistence({"height": "m"}).fields == data.fields
    with pytest.raises(ValueError, match="fields: expected at least one name, each once, got"):
        Persistence([])
