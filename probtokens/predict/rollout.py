"""The one rollout used for all models: every simulation forecast from its first frame and streamed to disk."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probtokens import __version__
from probtokens.data.support import ExtrapolationWarning, extrapolation
from probtokens.models.base import told
from probtokens.precision import instructions
from probtokens.predict.store import DRAWS_AT_ONCE, RolloutArrays, create_store, open_rollout, replacing_store

if TYPE_CHECKING:
    from probtokens.data.dataset import TrajectorySet
    from probtokens.data.support import Support
    from probtokens.fields import Grid
    from probtokens.models.base import Forecaster

__all__ = ["check_rollout_request", "forecast_blocks", "open_rollout", "simulation_seed", "write_rollout"]


def write_rollout(
    forecaster: Forecaster,
    trajectories: TrajectorySet,
    path: Path,
    *,
    members: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Forecast every trajectory from its first frame and stream frames and truth into a Zarr store.

    One frame of 8 draws of one simulation is held at a time, however many draws there are. A model that yields a single draw is
    deterministic and stored with one. The store appears whole or not at all: it is filled under a hidden name and
    renamed, and an interrupted call, run again, gives the same bits. An older rollout at ``path`` is replaced.

    Parameters
    ----------
    forecaster
        Trained model or baseline; its fields must be those of ``trajectories``, in the same order.
    trajectories
        Simulations to forecast; ``grid.n_times`` - 1 leads each. One that has no other frame than the first has no truth (NaN).
    members
        Draws asked for.
    seed
        Seed of the rollout. Simulation ``i`` gets its own, derived from ``(seed, i)``, so that its draws do
        not depend on which others are forecast with it.
    progress
        Called as ``progress(done, total)`` after each frame of a few draws; counts frames of all draws.

    Returns
    -------
    Path
        ``path``, to be opened with :func:`open_rollout`.

    Raises
    ------
    ValueError
        If fields, sizes or numbers of draws do not fit, ``path`` holds something else, a first frame is absurdly far from those in
        training, or a frame is not finite; the message names model, simulation, lead and field.

    Warns
    -----
    ExtrapolationWarning
        If simulations begin outside of the training range. The coordinate ``outside`` says which, and of what.
    """
    check_rollout_request(forecaster, trajectories, members)
    outside = [_outside(forecaster, trajectories, number) for number in range(len(trajectories))]
    if text := extrapolation(forecaster.name, outside, trajectories.names):
        warnings.warn(text, ExtrapolationWarning, stacklevel=2)
    frames_each = members * (trajectories.grid.n_times - 1)
    tell = progress or (lambda done, total: None)
    with replacing_store(path) as temporary:
        store: RolloutArrays | None = None
        for number in range(len(trajectories)):
            truth = _truth(trajectories, number)
            for part, frames in _checked_blocks(forecaster, trajectories, number, truth[0], members, seed):
                for lead, frame in enumerate(frames, start=1):
                    if store is None:
                        store = _create(temporary, forecaster, trajectories, outside, draws=1 if len(frame) == 1 else members, seed=seed)
                    if len(frame) != min(store.prediction.shape[0], part.stop - part.start):
                        where = f"{forecaster.name}, simulation {trajectories.names[number]}, lead {lead}"
                        raise ValueError(f"{where}: expected {store.prediction.shape[0]} draws as before, got {len(frame)}")
                    store.prediction[part.start : part.start + len(frame), number, lead] = frame
                    made = part.start * (trajectories.grid.n_times - 1) + lead * len(frame)
                    tell(number * frames_each + made, len(trajectories) * frames_each)
                if store is not None and store.prediction.shape[0] == 1:
                    break
            assert store is not None, "a forecast has at least one frame"
            store.prediction[:, number, 0] = np.broadcast_to(truth[0], (store.prediction.shape[0], *truth[0].shape))
            store.truth[number, : len(truth)] = truth
            tell((number + 1) * frames_each, len(trajectories) * frames_each)
    return path


def simulation_seed(seed: int, number: int) -> int:
    """Seed of simulation ``number``, 32 bits, independent of all other simulations."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def forecast_blocks(
    forecaster: Forecaster,
    initial: Tensor,
    context: Tensor,
    *,
    grid: Grid,
    n_steps: int,
    draws: int,
    seed: int,
    number: int,
    **options: Any,
) -> Iterator[tuple[slice, Iterator[Tensor]]]:
    """Draws of one simulation, 8 at a time: which they are, and their frames (draw, 1, field, y, x) at lead 1, 2, ….

    A draw depends on the seed, its number and that of its simulation, not on how many are asked for.

    Parameters
    ----------
    initial, context
        First frame (1, field, y, x) and known scalars (1, context), physical units.
    draws, seed, number
        Members in all, seed of the rollout, and number of the simulation.
    options
        Further arguments of ``forecast``.
    """
    deterministic = getattr(forecaster, "deterministic", False) or not options.get("sources", True)
    asked, draws = (1, 1) if deterministic else (DRAWS_AT_ONCE, draws)
    for block, first in enumerate(range(0, draws, asked)):
        own = simulation_seed(simulation_seed(seed, number), block)
        with told(), _named(forecaster):
            frames = iter(forecaster.forecast(initial, context, grid=grid, n_steps=n_steps, n_draws=asked, seed=own, **options))
        part = slice(first, min(first + asked, draws))
        yield part, (frame[: part.stop - part.start] for frame in _frames(forecaster, frames))


def _frames(forecaster: Forecaster, frames: Iterator[Tensor]) -> Iterator[Tensor]:
    while True:
        with _named(forecaster):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


@contextmanager
def _named(forecaster: Forecaster) -> Iterator[None]:
    """An error of a model, which may be someone else's, tells whose it is."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the forecast of {forecaster.name}")
        raise


def _checked_blocks(
    forecaster: Forecaster, trajectories: TrajectorySet, number: int, initial: NDArray[np.float32], members: int, seed: int
) -> Iterator[tuple[slice, Iterator[NDArray[np.float32]]]]:
    """Draws of one simulation by block, each with checked frames (draw, field, y, x) at lead 1, 2, …."""
    grid, n_steps = trajectories.grid, trajectories.grid.n_times - 1
    where = f"{forecaster.name}, simulation {trajectories.names[number]}"
    first = torch.from_numpy(initial[None].copy())
    context = torch.as_tensor(np.asarray(trajectories.context)[number : number + 1], dtype=torch.float32)
    blocks = forecast_blocks(forecaster, first, context, grid=grid, n_steps=n_steps, draws=members, seed=seed, number=number)

    def checked(part: slice, frames: Iterator[Tensor]) -> Iterator[NDArray[np.float32]]:
        """Frames of a block of draws, once their shape and number are right."""
        lead, expected, drawn = 0, (1, len(trajectories.fields), *grid.shape), part.stop - part.start
        while True:
            with torch.no_grad():
                frame = next(frames, None)
            if frame is None:
                break
            lead += 1
            if frame.ndim != 5 or tuple(frame.shape[1:]) != expected or frame.shape[0] not in (1, drawn) or lead > n_steps:
                raise ValueError(
                    f"{where}, lead {lead}: expected {n_steps} frames of shape (draw, simulation, field, y, x) = "
                    f"({drawn} or 1, {', '.join(map(str, expected))}), got {tuple(frame.shape)}"
                )
            values = frame[:, 0].to(device="cpu", dtype=torch.float32).numpy()
            _check_finite(values, trajectories, f"{where}, lead {lead}")
            yield values
        if lead != n_steps:
            raise ValueError(f"{where}: expected {n_steps} frames, got {lead}")

    yield from ((part, checked(part, frames)) for part, frames in blocks)


def support_of(forecaster: Forecaster) -> Support | None:
    """What a forecaster was trained on; ``None`` of one that does not know."""
    return getattr(forecaster, "support", None)


def _outside(forecaster: Forecaster, trajectories: TrajectorySet, number: int) -> str:
    """What of a simulation's beginning is outside of the training range; ``""`` if nothing is, or nothing is known of it."""
    support = support_of(forecaster)
    if support is None:
        return ""
    initial, context = trajectories.frames(number, 0, 1), np.asarray(trajectories.context, dtype=np.float32)[number : number + 1]
    try:
        (found,) = support.outside(torch.tensor(initial), torch.tensor(context), [trajectories.names[number]])
    except ValueError as error:
        raise ValueError(f"{forecaster.name}: {error}") from None
    return found


def _truth(trajectories: TrajectorySet, number: int) -> NDArray[np.float32]:
    """Known frames of one simulation, shape (time, field, y, x): all, or the first alone."""
    grid, where = trajectories.grid, f"truth, simulation {trajectories.names[number]}"
    frames = np.asarray(trajectories.frames(number), dtype=np.float32)
    expected = (grid.n_times, len(trajectories.fields), *grid.shape)
    if frames.shape not in (expected, (1, *expected[1:])):
        raise ValueError(f"{where}: expected shape (time, field, y, x) = {expected}, got {frames.shape}")
    for lead, frame in enumerate(frames):
        _check_finite(frame[None], trajectories, f"{where}, lead {lead}")
    return frames


def _check_finite(frame: NDArray[np.float32], trajectories: TrajectorySet, where: str) -> None:
    """Refuse a frame, shape (draw, field, y, x), that has values which are not finite."""
    finite = np.isfinite(frame)
    if not finite.all():
        counts = (~finite).sum(axis=(0, 2, 3))
        bad = {spec.name: int(count) for spec, count in zip(trajectories.fields, counts, strict=True) if count}
        raise ValueError(f"{where}: expected finite values, got this many that are not, by field: {bad}")


def check_rollout_request(forecaster: Forecaster, trajectories: TrajectorySet, members: int) -> None:
    """Refuse to forecast trajectories of other fields, no trajectories, single frames, or no members.

    Raises
    ------
    ValueError
        With what was expected and what came.
    """
    if members < 1:
        raise ValueError(f"members: expected >= 1, got {members}")
    if len(trajectories) < 1 or trajectories.grid.n_times < 2:
        raise ValueError(f"trajectories: expected at least 1 of at least 2 frames, got {len(trajectories)} of {trajectories.grid.n_times}")
    expected, got = [spec.name for spec in trajectories.fields], [spec.name for spec in forecaster.fields]
    if expected != got:
        raise ValueError(f"{forecaster.name}: expected the fields of the trajectories {expected}, got {got}")


def _create(
    path: Path, forecaster: Forecaster, trajectories: TrajectorySet, outside: Sequence[str], *, draws: int, seed: int
) -> RolloutArrays:
    context = np.asarray(trajectories.context)
    return create_store(
        path,
        draws=draws,
        simulations=list(trajectories.names),
        fields=trajectories.fields,
        grid=trajectories.grid,
        context={name: context[:, i] for i, name in enumerate(trajectories.context_names)},
        context_units=dict(zip(trajectories.context_names, trajectories.context_units, strict=True)),
        support=support_of(forecaster),
        outside=outside,
        attributes={
            "model": forecaster.name,
            "members": draws,
            "seed": seed,
            "spacing": trajectories.grid.spacing,
            "spacing_unit": trajectories.grid.length_unit,
            "time_step": trajectories.grid.time_step,
            "time_step_unit": trajectories.grid.time_unit,
            "periodic": trajectories.grid.periodic,
            "probtokens_version": __version__,
            "precision": getattr(forecaster, "precision", "float32"),
            "instructions": ", ".join(instructions()),
        },
    )
