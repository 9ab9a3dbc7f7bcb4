"""Training steps and rollout frames of micro tokens beside a network of the predecessor's shapes, in one run.

Steps of the recipe's latent and score stages are timed in the precision that it gives them, and so are frames; the step that decodes one
rollout without noise and learns everything, and all of the predecessor's, in single precision. A score step has three members.

python -m benchmarks.micro_speed
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.predecessor import Predecessor
from benchmarks.timing import RESULTS, best_of, write_result
from probtokens.config import MicroConfig, RolloutErrorStage, Stage, load_config
from probtokens.data import Normalizer
from probtokens.fields import Grid, field_spec
from probtokens.memory import keep_freed_memory
from probtokens.models.base import learn
from probtokens.models.micro import MicroTokens
from probtokens.precision import instructions, resolve
from probtokens.train.objectives import objective_of

FIELDS = ("temperature", "pressure", "solid_fraction")
GRID = Grid(160, 256, 0.04, 0.125, n_times=2)
N_FRAMES = 20

Work = dict[str, Callable[[], object]]


def build() -> Work:
    """One call of everything that is timed: batch of one, 160 × 256 cells, temperature, pressure and solid fraction."""
    torch.manual_seed(0)
    recipe = load_config(Path("examples/micro.yaml")).micro
    config = recipe.tokens
    groups = tuple(group for group in config.groups if set(group.fields) <= set(FIELDS))
    config = config.model_copy(update={"groups": groups, "rest": {name: value for name, value in config.rest.items() if name in FIELDS}})
    normalizer = Normalizer(tuple(map(field_spec, FIELDS)), ("shock_pressure",))
    tokens, compiled = (MicroTokens(config, normalizer, GRID) for _ in range(2))
    compiled.compile_networks()
    predecessor = Predecessor(len(FIELDS))
    frames = torch.rand(1, 2, len(FIELDS), *GRID.shape)
    return {
        "tokens_step": partial(_tokens_step, tokens, frames, RolloutErrorStage(name="error", steps=1, horizon=1)),
        "tokens_latent_step": partial(_tokens_step, tokens, frames, _last_stage(recipe, "latent_error")),
        "tokens_score_step": partial(_tokens_step, tokens, frames, _last_stage(recipe, "rollout_score")),
        "tokens_frames": partial(_tokens_frames, tokens, frames[:, 0]),
        "tokens_compiled_frames": partial(_tokens_frames, compiled, frames[:, 0]),
        "predecessor_step": partial(_step, predecessor, lambda: predecessor.loss(frames)),
        "predecessor_frames": partial(_predecessor_frames, predecessor, frames[:, 0]),
    }


def main() -> None:
    """Time everything in turns and write ``benchmarks/results/micro_speed.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "micro_speed.json")
    args = parser.parse_args()
    keep_freed_memory()
    work = build()
    flops = {name: _flops(call) for name, call in work.items() if name != "tokens_compiled_frames"}
    flops["tokens_compiled_frames"] = flops["tokens_frames"]
    ceiling = _ceiling_work()
    seconds = best_of(args.repeats, {**work, "ceiling": ceiling})
    most = _flops(ceiling) / seconds["ceiling"]
    precision = resolve(load_config(Path("examples/micro.yaml")).micro.tokens.precision)
    result: dict[str, object] = {"instructions": list(instructions()), "precision": precision}
    result |= {"grid": list(GRID.shape), "repeats": args.repeats, "convolution_ceiling_gflop_per_s": round(most / 1e9, 1)}
    for name, call_flops in flops.items():
        per = N_FRAMES if name.endswith("frames") else 1
        result[name.removesuffix("s") if per > 1 else name] = {
            "ms": round(1e3 * seconds[name] / per, 2),
            "gflop": round(call_flops / per / 1e9, 3),
            "share_of_ceiling": round(call_flops / seconds[name] / most, 3),
            "peak_memory_MiB": _peak_memory(name),
        }
    result["step_ratio"] = round(seconds["predecessor_step"] / seconds["tokens_step"], 1)
    result["latent_step_ratio"] = round(seconds["predecessor_step"] / seconds["tokens_latent_step"], 1)
    result["score_step_ratio"] = round(seconds["predecessor_step"] / seconds["tokens_score_step"], 1)
    result["frame_ratio"] = round(seconds["predecessor_frames"] / seconds["tokens_frames"], 1)
    result["compiled_frame_ratio"] = round(seconds["predecessor_frames"] / seconds["tokens_compiled_frames"], 1)
    write_result(args.out, result)


def _step(model: nn.Module, loss: Callable[[], torch.Tensor]) -> None:
    """Gradients of everything that takes any."""
    model.zero_grad(set_to_none=True)
    loss().backward()


def _last_stage(recipe: MicroConfig, objective: str) -> Stage:
    """One step of one window by the recipe's last stage of a kind, if it moves the transition; without weights of absent fields."""
    stage = [stage for stage in recipe.stages if stage.objective == objective][-1]
    absent = {"field_weights": {}} if hasattr(stage, "field_weights") else {}
    moved = {"learn": ("dynamics", "noise")} if objective == "rollout_score" else {}
    return stage.model_copy(update={"horizon": 1, "batch_size": 1, **absent, **moved})


def _tokens_step(model: MicroTokens, frames: torch.Tensor, stage: Stage) -> None:
    learn(model, stage.learn)
    objective = objective_of(stage)
    seen = model.encode(frames).mean if stage.on_tokens else frames

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=resolve(stage.precision) == "bfloat16"):
            return objective.parts(model, seen, torch.zeros(1, 1))["loss"]

    _step(model, loss)


@torch.inference_mode()
def _tokens_frames(model: MicroTokens, initial: torch.Tensor) -> None:
    for _ in model.forecast(initial, torch.zeros(1, 1), grid=GRID, n_steps=N_FRAMES, n_draws=1, seed=0):
        pass


@torch.inference_mode()
def _predecessor_frames(model: Predecessor, initial: torch.Tensor) -> None:
    mean, log_variance = model.encode(initial)
    for _ in range(N_FRAMES):
        mean, log_variance = model.advance(mean, log_variance)
        model.decode(mean + (0.5 * log_variance).exp() * torch.randn_like(mean))


def _ceiling_work() -> Callable[[], object]:
    """A 3×3 convolution of 128 channels on the lattice of patches of eight cells."""
    layer, lattice = nn.Conv2d(128, 128, 3, padding=1), torch.randn(1, 128, GRID.ny // 8, GRID.nx // 8)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(20):
                layer(lattice)

    return run


def _flops(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def _peak_memory(name: str) -> int:
    """Peak of a fresh process during its first call, beyond what it has before [MiB]; Linux only."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_grown, (name,))


def _grown(name: str) -> int:
    call = build()[name]
    gc.collect()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak so far
    call()
    return round((_status("VmHWM") - before) / 1024)


def _status(key: str) -> int:
    """An entry of this process's status [KiB]."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    main()
