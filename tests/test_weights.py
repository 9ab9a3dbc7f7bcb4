"""Trained tokens that come with the package: named, small, and ready to forecast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import probtokens
from probtokens.models.files import CARD_NAME
from probtokens.models.micro import MicroTokens
from probtokens.weights import resolved, shipped, weights_file

#: Largest file that may come with the package [byte].
LIMIT = 10_000_000


def test_names_are_those_of_the_folders_with_a_model() -> None:
    folder = Path(probtokens.__file__).parent / "weights"
    assert "hmx-standard" in shipped()
    assert list(shipped()) == sorted(path.name for path in folder.iterdir() if (path / "model.pt").is_file())


@pytest.mark.parametrize("name", shipped())
def test_files_are_there_with_their_cards_and_small(name: str) -> None:
    path = weights_file(name)
    assert path.is_file()
    assert path.with_name(CARD_NAME).is_file()
    assert path.is_absolute()
    assert path.parent.name == name
    assert sum(part.stat().st_size for part in path.parent.iterdir()) < LIMIT


@pytest.mark.parametrize("name", ["hmx", "", "hmx-standard/model.pt", "../weights/hmx-standard"])
def test_other_names_are_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=rf"weights: expected one of \['hmx-standard'.*\], got '{name}'"):
        weights_file(name)


@pytest.mark.parametrize("name", shipped())
def test_models_load_as_trained_and_forecast(name: str) -> None:
    model = MicroTokens.load(weights_file(name))
    assert not model.training
    assert all(value.isfinite().all() for value in model.parameters())
    assert (model.normalizer.field_scale > 0).all()
    grid = replace(model.grid, ny=2 * model.tokens.patch, nx=3 * model.tokens.patch)
    initial = model.normalizer.field_mean[None, :, None, None].expand(1, -1, *grid.shape).clamp(model.lower, model.upper)
    frames = list(model.forecast(initial, model.normalizer.context_mean[None], grid=grid, n_steps=2, n_draws=3, seed=0))
    assert len(frames) == 2
    for frame in frames:
        assert frame.shape == (3, 1, len(model.fields), *grid.shape)
        assert torch.isfinite(frame).all()
        assert (frame >= model.lower).all()
        assert (frame <= model.upper).all()
    assert not torch.equal(frames[-1][0], frames[-1][1])


def test_a_file_of_the_same_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = Path("hmx-standard")
    assert resolved(name) == weights_file("hmx-standard")
    name.write_bytes(b"own")
    assert resolved(name) == tmp_path / "hmx-standard"
