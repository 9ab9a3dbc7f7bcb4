"""Models in other people's processes: copies, pickles, averages, files, other defaults of torch; the draws stay the same to the bit."""

from __future__ import annotations

import copy
import io
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from probtokens.baselines import Parc
from probtokens.config import ParcConfig
from probtokens.models.tokens import TokenForecaster
from probtokens.verify.token_pairs import GRID, meso_tokens, micro_tokens, normalizer, window

BUILD = [micro_tokens, meso_tokens]


def parc() -> Parc:
    torch.manual_seed(0)
    return Parc(ParcConfig(width=8, levels=1), normalizer(), GRID)


def draws(model: TokenForecaster | Parc) -> Tensor:
    frames, context = window()
    return torch.stack(list(model.forecast(frames[:, 0], context, grid=GRID, n_steps=2, n_draws=3, seed=0)))


def pickled(model: TokenForecaster) -> TokenForecaster:
    found: TokenForecaster = pickle.loads(pickle.dumps(model))
    return found


def saved_whole(model: TokenForecaster) -> TokenForecaster:
    """As torch saves a module together with its class."""
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    found: TokenForecaster = torch.load(buffer, weights_only=False)
    return found


@pytest.fixture
def double() -> Iterator[None]:
    """Return with torch's default in double precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled networks are the networks themselves, so that tests take no seconds."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)


@pytest.mark.parametrize("build", [*BUILD, parc])
@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, pickled, saved_whole])
def test_copies_draw_the_same_and_share_no_weights(build: Callable[[], TokenForecaster], copied: Callable[..., TokenForecaster]) -> None:
    model = build()
    expected, other = draws(model), copied(model)
    assert torch.equal(draws(other), expected)
    if copied is not copy.copy:
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(0.1)
        assert not torch.equal(draws(other), expected)
        assert torch.equal(draws(model), expected)


@pytest.mark.usefixtures("not_compiled")
@pytest.mark.parametrize("build", BUILD)
@pytest.mark.parametrize("copied", [copy.deepcopy, pickled, saved_whole])
def test_copies_of_compiled_models_have_weights_of_their_own(
    build: Callable[[], TokenForecaster], copied: Callable[..., TokenForecaster]
) -> None:
    model = build()
    expected = draws(model)
    model.compile_networks()
    assert torch.equal(draws(model), expected)
    other = copied(model)
    assert torch.equal(draws(other), expected)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    changed = draws(other)
    assert not torch.equal(changed, expected)
    assert torch.equal(draws(copied(other)), changed)
    assert torch.equal(draws(model), expected)


@pytest.mark.usefixtures("not_compiled")
@pytest.mark.parametrize("change", ["load", "step"])
def test_compiled_networks_do_not_forecast_with_weights_that_have_gone(change: str) -> None:
    model = micro_tokens()
    model.compile_networks()
    if change == "load":
        model.load_state_dict(micro_tokens(seed=1).state_dict())
    else:
        with torch.no_grad():
            next(model.parameters()).mul_(0.9)
    with pytest.raises(ValueError, match="compiled networks: expected the weights that they were compiled with, got others"):
        draws(model)


@pytest.mark.usefixtures("not_compiled")
def test_compiled_models_can_be_saved(tmp_path: Path) -> None:
    model = micro_tokens()
    expected = draws(model)
    model.compile_networks()
    model.save(tmp_path / "model.pt")
    assert torch.equal(draws(type(model).load(tmp_path / "model.pt")), expected)


@pytest.mark.parametrize("build", BUILD)
def test_averaged_weights_forecast(build: Callable[[], TokenForecaster]) -> None:
    model = build()
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    averaged.update_parameters(model)
    first = draws(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    averaged.update_parameters(model)
    for mean, last in zip(averaged.module.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mean, 1.5 * last)
    assert draws(averaged.module).isfinite().all()
    assert not torch.equal(draws(averaged.module), first)


@pytest.mark.parametrize("build", BUILD)
def test_a_file_gives_the_same_draws_also_after_training(build: Callable[[], TokenForecaster], tmp_path: Path) -> None:
    model, (frames, context) = build(), window()
    svi = SVI(model.model, model.guide, pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO())
    svi.step(frames, context)
    model.save(tmp_path / "model.pt")
    loaded = type(model).load(tmp_path / "model.pt")
    assert torch.equal(draws(loaded), draws(model))
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in model.parameters()]


def test_another_process_draws_the_same(tmp_path: Path) -> None:
    model = meso_tokens()
    model.save(tmp_path / "model.pt")
    torch.save(model, tmp_path / "whole.pt")
    lines = (
        "import sys, torch, probtokens",
        "from probtokens.verify.token_pairs import GRID, window",
        "(frames, context), folder = window(), sys.argv[1]",
        "for model in (probtokens.load(folder + '/model.pt'), torch.load(folder + '/whole.pt', weights_only=False)):",
        "    frame = torch.stack(list(model.forecast(frames[:, 0], context, grid=GRID, n_steps=2, n_draws=3, seed=0)))",
        "    print(bytes(frame.numpy()).hex())",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines), str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [bytes(draws(model).numpy()).hex()] * 2


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("build", [*BUILD, parc, lambda: micro_tokens(views="shifted")])
def test_models_compute_in_single_precision_whatever_the_default(build: Callable[[], TokenForecaster]) -> None:
    model = build()
    assert {values.dtype for values in model.state_dict().values()} == {torch.float32}
    torch.set_default_dtype(torch.float32)
    expected = draws(model)
    torch.set_default_dtype(torch.float64)
    frames, context = (values.double() for values in window())
    found = torch.stack(list(model.forecast(frames[:, 0], context, grid=GRID, n_steps=2, n_draws=3, seed=0)))
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("build", BUILD)
def test_files_and_svi_do_not_follow_the_default_either(build: Callable[[], TokenForecaster], tmp_path: Path) -> None:
    torch.set_default_dtype(torch.float32)
    model, (frames, context) = build(), window()
    expected = draws(model)
    model.save(tmp_path / "model.pt")
    torch.set_default_dtype(torch.float64)
    loaded = type(model).load(tmp_path / "model.pt")
    assert torch.equal(draws(loaded), expected)
    svi = SVI(loaded.model, loaded.guide, pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO())
    assert math.isfinite(svi.step(frames, context))
    assert {values.dtype for values in loaded.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("part", ["model", "guide"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frames, context: (frames.double(), context), "frames: expected torch.float32, got torch.float64"),
        (lambda frames, context: (frames, context.double()), "context: expected torch.float32, got torch.float64"),
        (lambda frames, context: (frames * float("nan"), context), "frames: field 'temperature', simulation 0: .* got nan at frame 0"),
        (lambda frames, context: (frames - 1e4, context), r"frames: field .temperature., simulation 0: expected .* in \[0, inf\] K"),
    ],
)
def test_windows_that_are_no_frames_are_refused_by_name(part: str, spoil: Callable[..., tuple[Tensor, Tensor]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(micro_tokens(), part)(*spoil(*window()))


def test_encode_and_decode_take_numbers_of_any_type_and_refuse_impossible_ones() -> None:
    model, (frames, _) = micro_tokens(), window()
    expected = model.encode(frames)
    for other in (frames.double(), frames.double().numpy()):
        assert torch.equal(model.encode(other).mean, expected.mean)
    assert torch.equal(model.decode(expected.mean.double().numpy()).loc, model.decode(expected.mean).loc)
    assert model.encode(frames[0, 0]).mean.shape == expected.mean.shape[2:]
    frames[1, 2, 1, 3, 4] = torch.nan
    with pytest.raises(ValueError, match=r"frames: field 'pressure', simulation 6: .* got nan at \(y, x\) = \(3, 4\)"):
        model.encode(frames)
    with pytest.raises(ValueError, match="frames: expected 5 fields on axis -3, got shape"):
        model.encode(frames[0, 0, 0])
