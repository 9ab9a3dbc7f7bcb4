"""The training loop: learns, stops at any chunk, and goes on as if it had not stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import lightning
import pytest
import torch
from pyro import poutine

from probtokens import precision
from probtokens.baselines import Parc
from probtokens.config import (
    ElboStage,
    LatentErrorStage,
    MicroConfig,
    ParcConfig,
    ReconstructionStage,
    RolloutErrorStage,
    RolloutScoreStage,
    Stage,
)
from probtokens.data.atomic import WriteError
from probtokens.data.dataset import Batch, TrajectorySet
from probtokens.data.latents import encode_views
from probtokens.data.normalize import Normalizer
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.train import DivergedError, loop, train_stages, windows
from probtokens.train.module import StageModule
from probtokens.verify.token_pairs import MESO, TOKENS
from tests.helpers import make_shard

FIELDS = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
TOKEN_STAGES = (
    ElboStage(name="elbo", steps=6, horizon=2, batch_size=2),
    RolloutErrorStage(name="error", steps=2, horizon=2, decoded="half", batch_size=2),
    LatentErrorStage(
        name="latent",
        steps=4,
        horizon=2,
        batch_size=2,
        shifts=3,
        latest_start=1,
        precision="bfloat16",
        optimizer="muon",
    ),
    RolloutScoreStage(name="score", steps=4, horizon=2, batch_size=2, members=2, precision="bfloat16"),
)
PARC_STAGES = (RolloutErrorStage(name="error", steps=6, horizon=1, batch_size=2),)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrajectorySet, Normalizer]:
    folder = tmp_path_factory.mktemp("data")
    make_shard(folder / "shard.hdf5", n_simulations=3)
    trajectories = TrajectorySet.open(folder, FIELDS, ("shock_pressure",))
    return trajectories, Normalizer.fit(trajectories)


def micro(data) -> torch.nn.Module:
    torch.manual_seed(0)
    return MicroTokens(TOKENS, data[1], data[0].grid)


def meso(data) -> torch.nn.Module:
    return MesoTokens(micro(data), MESO, len(data[0]), data[0].grid.n_times)


def parc(data) -> torch.nn.Module:
    torch.manual_seed(0)
    return Parc(ParcConfig(width=8, levels=2), data[1], data[0].grid)


def precisions(told: dict[str, loop.Trained]) -> dict[str, str]:
    return {name: stage.precision for name, stage in told.items()}


class Stopped(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize(("build", "stages"), [(micro, TOKEN_STAGES), (meso, TOKEN_STAGES), (parc, PARC_STAGES)])
@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_interrupted_training_ends_with_the_same_bits(
    build: Callable, stages: tuple[Stage, ...], stop_after: int, data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHUNK", 2)
    trajectories, _ = data
    settings = {"weight_decay": 0.01, "seed": 5, "replay": trajectories if build is meso else None}
    torch.manual_seed(11)
    straight = build(data)
    told = train_stages(straight, trajectories, stages, validation=trajectories, out_dir=tmp_path / "straight", **settings)
    assert {stage.name: len(told[stage.name].losses) for stage in stages} == {stage.name: stage.steps for stage in stages}

    chunks = []

    def stop(*_: object) -> None:
        chunks.append(1)
        if len(chunks) == stop_after:
            raise Stopped

    torch.manual_seed(11)
    settings["validation"] = trajectories
    with pytest.raises(Stopped):
        train_stages(build(data), trajectories, stages, out_dir=tmp_path / "stopped", progress=stop, **settings)
    torch.manual_seed(11)
    resumed = build(data)
    assert train_stages(resumed, trajectories, stages, out_dir=tmp_path / "stopped", **settings) == told
    ours, theirs = straight.state_dict(), resumed.state_dict()
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


def test_devices_share_batches(data, tmp_path: Path) -> None:
    latent = LatentErrorStage(name="latent", steps=4, horizon=2, batch_size=4)
    half = latent.model_copy(update={"batch_size": 2})
    weights = []
    for name, stage, devices in (("one", latent, 1), ("two", latent, 2), ("half", half, 1)):
        model = micro(data)
        train_stages(model, data[0], (stage,), weight_decay=0.0, seed=0, devices=devices, out_dir=tmp_path / name)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    one, two, half_a_batch = weights
    torch.testing.assert_close(two, one, rtol=1e-3, atol=2e-5)
    assert (half_a_batch - one).abs().max() > 1e-3


def test_interrupted_training_on_two_devices_ends_with_the_same_bits(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHUNK", 2)
    settings = {"stages": TOKEN_STAGES, "weight_decay": 0.01, "seed": 5, "devices": 2}
    reports = []
    straight = micro(data)
    train_stages(straight, data[0], out_dir=tmp_path / "straight", progress=lambda *report: reports.append(report[:3]), **settings)
    assert reports == [(stage.name, step, stage.steps) for stage in TOKEN_STAGES for step in range(2, stage.steps + 1, 2)]

    whole = loop._ChunkEnd.on_train_epoch_end

    def killed(chunk_end: loop._ChunkEnd, trainer: lightning.Trainer, module: StageModule) -> None:
        whole(chunk_end, trainer, module)
        trainer.strategy.barrier()  # the error of one ends the other, who is to have put its checkpoint in place
        if module.stage.name == "latent":
            raise Stopped

    monkeypatch.setattr(loop._ChunkEnd, "on_train_epoch_end", killed)
    with pytest.raises(Stopped):
        train_stages(micro(data), data[0], out_dir=tmp_path / "stopped", **settings)
    assert not multiprocessing.active_children()
    monkeypatch.setattr(loop._ChunkEnd, "on_train_epoch_end", whole)
    assert (tmp_path / "stopped" / "02_latent.ckpt").is_file()
    resumed = micro(data)
    train_stages(resumed, data[0], out_dir=tmp_path / "stopped", **settings)
    ours, theirs = resumed.state_dict(), straight.state_dict()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


def test_batches_that_devices_cannot_share_are_refused(data, tmp_path: Path) -> None:
    stage = ReconstructionStage(name="r", steps=1, batch_size=3)
    with pytest.raises(ValueError, match="r: expected a batch_size that 2 devices can share, got 3"):
        MicroConfig(stages=(stage,), devices=2)
    with pytest.raises(ValueError, match="r: expected a batch_size that 2 devices can share, got 3"):
        train_stages(micro(data), data[0], (stage,), weight_decay=0.0, seed=0, devices=2, out_dir=tmp_path)


def test_devices_stand_for_all_simulations_together(data, tmp_path: Path) -> None:
    """Every process weighs the prior of the weights, which it meets whole, against its share of the data."""
    stage = ElboStage(name="means", steps=1, horizon=2, batch_size=2)
    for devices, share in ((1, 2), (2, 1)):
        model = meso(data)
        train_stages(model, data[0], (stage,), weight_decay=0.0, seed=0, devices=devices, out_dir=tmp_path / str(devices))
        batch = windows.WindowDataset(data[0], 2)
        frames, context = (torch.as_tensor(part)[None].expand(share, *part.shape) for part in batch[0][:2])
        torch.manual_seed(0)
        trace = poutine.trace(model.model).get_trace(frames, context)
        assert trace.nodes["u"]["scale"] == len(data[0]) / share


def test_devices_have_draws_of_their_own(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares of a batch whose noise is the same would have twice its variance."""
    seeds = torch.multiprocessing.get_context("fork").SimpleQueue()
    manual_seed = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: (seeds.put(seed), manual_seed(seed))[1])
    stage = ReconstructionStage(name="elbo", steps=2, batch_size=2)
    model = micro(data)
    while not seeds.empty():
        seeds.get()
    train_stages(model, data[0], (stage,), weight_decay=0.0, seed=0, devices=2, out_dir=tmp_path)
    found = []
    while not seeds.empty():
        found.append(seeds.get())
    assert len(found) == len(set(found)) == 4


def test_devices_follow_a_process_of_many_threads(data, tmp_path: Path) -> None:
    """A fork has none of its parent's threads: an operation that waits for them would never end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.ones(1 << 20).clone()
        torch.manual_seed(0)
        model = MicroTokens(TOKENS.model_copy(update={"width": 64}), data[1], data[0].grid)
        assert max(parameter.numel() for parameter in model.parameters()) > 1 << 15  # from which on torch wants its threads
        stage = RolloutErrorStage(name="mse", steps=1, horizon=1, batch_size=2)
        train_stages(model, data[0], (stage,), weight_decay=0.0, seed=0, devices=2, out_dir=tmp_path)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("error", "told"), [(WriteError, 0), (Stopped, 1)])
def test_errors_of_devices_arrive_as_they_are(
    data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception], told: int
) -> None:
    monkeypatch.setattr(loop, "CHUNK", 1)
    stage = ReconstructionStage(name="elbo", steps=3, batch_size=2)
    reports = []

    def progress(*report: object) -> None:
        reports.append(report)
        raise Stopped

    if error is WriteError:
        (tmp_path / "00_elbo.ckpt").mkdir()
    with pytest.raises(error):
        train_stages(micro(data), data[0], (stage,), weight_decay=0.0, seed=0, devices=2, out_dir=tmp_path, progress=progress)
    assert len(reports) == told
    assert not multiprocessing.active_children()


def test_an_interrupted_caller_leaves_no_device_at_work(tmp_path: Path) -> None:
    program = """
        import signal, sys
        from pathlib import Path
        from probtokens.config import ReconstructionStage
        from probtokens.data import Normalizer, TrajectorySet
        from probtokens.train import train_stages
        from tests.helpers import make_shard
        from tests.train.test_loop import FIELDS, micro
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
        folder = Path(sys.argv[1])
        make_shard(folder / "data" / "shard.hdf5", n_simulations=2)
        trajectories = TrajectorySet.open(folder / "data", FIELDS, ("shock_pressure",))
        data = trajectories, Normalizer.fit(trajectories)
        stage = ReconstructionStage(name="elbo", steps=1_000_000, batch_size=2)
        tell = lambda *_: print("at work", flush=True)
        train_stages(micro(data), data[0], (stage,), weight_decay=0.0, seed=0, devices=2, out_dir=folder, progress=tell)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)  # which waits for all that hold its standard output, the devices too
    assert process.returncode == 1


def test_training_lowers_the_loss(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHUNK", 10)
    losses = []
    stages = (ElboStage(name="r", steps=60, horizon=1, batch_size=8, learning_rate=3e-3),)
    train_stages(
        micro(data),
        data[0],
        stages,
        weight_decay=0.0,
        seed=0,
        out_dir=tmp_path,
        progress=lambda name, step, steps, loss: losses.append(loss),
    )
    assert losses[-1] < losses[0] - 1.0


def test_a_loss_that_is_not_finite_stops_at_its_step(data, tmp_path: Path) -> None:
    model = micro(data)
    stages = (ReconstructionStage(name="codec", steps=1, batch_size=2), ElboStage(name="elbo", steps=4, batch_size=2, learning_rate=1e5))
    with pytest.raises(DivergedError) as caught:
        train_stages(model, data[0], stages, weight_decay=0.0, seed=0, out_dir=tmp_path)
    kept = tmp_path / "00_codec.pt"
    advice = "try a learning_rate below 100000"
    assert str(caught.value) == f"stage 'elbo', step 2 of 4: expected a finite loss, got nan; {advice}; last good state: {kept}"
    assert caught.value.checkpoint == kept
    assert list(tmp_path.glob("*.pt")) == [kept]


@pytest.mark.parametrize(
    ("log_scale", "message"),
    [(-60.0, "expected a covariance, got one that is not positive definite"), (60.0, "expected a finite loss, got nan")],
)
def test_a_guide_out_of_range_is_divergence(data, tmp_path: Path, log_scale: float, message: str) -> None:
    model = meso(data)
    model.posterior.log_scale.data.fill_(log_scale)
    with pytest.raises(DivergedError, match=f"^stage 'elbo', step 1 of 6: {message}; try a learning_rate below 0.001$"):
        train_stages(model, data[0], TOKEN_STAGES, weight_decay=0.0, seed=0, out_dir=tmp_path)


def test_weights_that_are_not_finite_are_never_kept(data, tmp_path: Path) -> None:
    """The last step of a stage may spoil the weights while its loss, of those before, is fine."""

    class Spoils(lightning.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
            pl_module.learning[0].grad.fill_(float("nan"))

    stage = ReconstructionStage(name="codec", steps=1, batch_size=2)
    with pytest.raises(DivergedError, match="step 1 of 1: expected a finite norm of weights, got nan"):
        train_stages(micro(data), data[0], (stage,), weight_decay=0.0, seed=0, out_dir=tmp_path, callbacks=[Spoils()])
    assert not list(tmp_path.iterdir())


def test_groups_that_a_model_does_not_have_are_refused(data, tmp_path: Path) -> None:
    stage = RolloutScoreStage(name="noise", steps=1, learn=("noise",))
    with pytest.raises(ValueError, match=r"learn: expected some of the parameter groups \['dynamics'\] of Parc, got \['noise'\]"):
        train_stages(parc(data), data[0], (stage,), weight_decay=0.0, seed=0, out_dir=tmp_path)


def test_fields_that_a_model_does_not_have_are_refused_before_any_stage(data, tmp_path: Path) -> None:
    stage = LatentErrorStage(name="s", steps=1, field_weights={"density": 2.0})
    first = ReconstructionStage(name="first", steps=1)
    with pytest.raises(ValueError, match=r"s: field_weights: expected some of \['temperature', .*\], got \['density'\]"):
        train_stages(micro(data), data[0], (first, stage), weight_decay=0.0, seed=0, out_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_stage_keeps_the_precision_that_it_began_with(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed on another machine, it ends with the same weights; stages that begin there take what is fast there."""
    monkeypatch.setattr(loop, "CHUNK", 2)
    stages = (
        LatentErrorStage(name="latent", steps=4, horizon=2, batch_size=2, precision="auto"),
        LatentErrorStage(name="later", steps=1, batch_size=2, precision="auto"),
    )

    def stop(*_: object) -> None:
        raise Stopped

    settings = {"weight_decay": 0.0, "seed": 0}
    monkeypatch.setattr(precision, "instructions", lambda: ("AVX2", "AMX"))
    straight = micro(data)
    assert precisions(train_stages(straight, data[0], stages[:1], out_dir=tmp_path / "straight", **settings)) == {"latent": "bfloat16"}
    with pytest.raises(Stopped):
        train_stages(micro(data), data[0], stages, out_dir=tmp_path / "moved", progress=stop, **settings)
    monkeypatch.setattr(precision, "instructions", lambda: ("AVX2",))
    resumed = micro(data)
    found = train_stages(resumed, data[0], stages, out_dir=tmp_path / "moved", **settings)
    assert precisions(found) == {"latent": "bfloat16", "later": "float32"}
    assert train_stages(micro(data), data[0], stages, out_dir=tmp_path / "moved", **settings) == found
    after = torch.load(tmp_path / "moved" / "00_latent.pt", weights_only=True)
    assert all(torch.equal(value, after[name]) for name, value in straight.state_dict().items())


def test_lightnings_variables_change_nothing(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trainer would take every argument that it is not given from the environment."""
    stages = (ReconstructionStage(name="codec", steps=4, batch_size=2),)

    def losses(folder: str) -> list[float]:
        return train_stages(micro(data), data[0], stages, weight_decay=0.0, seed=0, out_dir=tmp_path / folder)["codec"].losses

    expected = losses("without")
    asked = {"PL_TRAINER_FAST_DEV_RUN": "1", "PL_TRAINER_GRADIENT_CLIP_ALGORITHM": "value"}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    assert losses("with") == expected
    assert asked.items() <= os.environ.items()


def test_tokens_are_encoded_once_for_consecutive_latent_stages(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []

    def encode(*arguments):
        encoded.append(1)
        return encode_views(*arguments)

    monkeypatch.setattr(windows, "encode_views", encode)
    latent = [LatentErrorStage(name=f"latent_{h}", steps=1, horizon=h, batch_size=2) for h in (1, 2)]
    between = ReconstructionStage(name="between", steps=1, batch_size=2)
    again = LatentErrorStage(name="again", steps=1, horizon=1, batch_size=2)
    reports = []
    stages = (*latent, between, again)
    train_stages(micro(data), data[0], stages, weight_decay=0.0, seed=0, out_dir=tmp_path, encoding=lambda *report: reports.append(report))
    assert len(encoded) == 2
    n = len(data[0])
    assert reports == [(name, done, n) for name in ("latent_1", "again") for done in range(n + 1)]


def test_replayed_windows_are_as_many_cells_and_count_beside_the_others(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small simulations are replayed beside large ones; a stage on frames sees the large ones alone."""
    folder = tmp_path / "small"
    folder.mkdir()
    make_shard(folder / "shard.hdf5", n_simulations=2, ny=8)
    small = TrajectorySet.open(folder, FIELDS, ("shock_pressure",))
    seen = []
    parts = StageModule._parts

    def watched(module: StageModule, batch: Batch, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        found = parts(module, batch, model)
        seen.append((module.stage.name, tuple(batch.frames.shape), float(found["loss"]), float(found.get("data", 0.0))))
        return found

    monkeypatch.setattr(StageModule, "_parts", watched)
    stages = (
        LatentErrorStage(name="latent", steps=1, horizon=2, batch_size=2),
        RolloutScoreStage(name="score", steps=1, horizon=2, batch_size=2, members=2),
    )
    told = train_stages(meso(data), data[0], stages, weight_decay=0.0, seed=0, out_dir=tmp_path / "out", replay=small)
    shapes = [(name, shape) for name, shape, *_ in seen]
    assert shapes == [("latent", (2, 3, 7, 2, 3)), ("latent", (4, 3, 7, 1, 3)), ("score", (2, 3, 5, 16, 24))]
    assert told["latent"].losses[0] == pytest.approx(seen[0][2] + seen[1][3])


def test_a_model_without_tokens_has_no_latent_stages(data, tmp_path: Path) -> None:
    stage = LatentErrorStage(name="latent", steps=1, horizon=1)
    with pytest.raises(ValueError, match="latent: expected a model with encode, .* got Parc without encode"):
        train_stages(parc(data), data[0], (stage,), weight_decay=0.0, seed=0, out_dir=tmp_path)
