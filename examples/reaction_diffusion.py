"""Make a reaction–diffusion set in the package's layout with py-pde: one seed at the micro scale, many at the meso scale.

python examples/reaction_diffusion.py runs/reaction_diffusion_data

Gray and Scott's model of an autocatalyst V that feeds on a substrate U and decays, in the form and near the parameters of
J. E. Pearson, Complex patterns in a simple system, Science 261, 189 (1993):

    ∂u/∂t = 0.16 ∇²u − u v² + F (1 − u)
    ∂v/∂t = 0.08 ∇²v + u v² − (F + k) v

Where V is put it grows into a labyrinth that spreads; F, the feed rate, is drawn for each simulation. Fronts are a few cells
wide, so that the grid shows in their shape: enough to learn from, not a solution of the equations to quote.

Numbers of the model have no dimension. In the files a unit of length, which is a cell, is 0.1 µm and a unit of time 0.001 ns;
the feed rate is per ns.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pde import CartesianGrid, FieldCollection, MemoryStorage, PDEBase, ScalarField

from probtokens.data import write_shard
from probtokens.fields import Grid

SPLITS = ("train", "valid", "test")
SPACING = 0.1  # µm for a unit of length
TIME_UNIT = 1e-3  # ns for a unit of time
FRAME = 50  # units of time between frames
KILL = 0.06
FEED = (0.03, 0.045)
RADIUS = (2.5, 4.0)  # of a seed, in cells
UNITS = {"substrate": "1", "catalyst": "1", "feed_rate": "1/ns"}


def seeded(rng: np.random.Generator, n_cells: int, n_seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Substrate and catalyst at rest but for discs of catalyst anywhere, whose cells differ by a per cent."""
    y, x = np.mgrid[:n_cells, :n_cells] + 0.5
    substrate, catalyst = np.ones((n_cells, n_cells)), np.zeros((n_cells, n_cells))
    for _ in range(n_seeds):
        (y0, x0), radius = rng.uniform(0.15, 0.85, 2) * n_cells, rng.uniform(*RADIUS)
        inside = np.hypot(y - y0, x - x0) < radius
        substrate[inside], catalyst[inside] = 0.5, 0.25
    noise = 1 + 0.01 * rng.standard_normal((2, n_cells, n_cells))
    return substrate * noise[0].clip(max=1), catalyst * noise[1]


class GrayScott(PDEBase):
    """The equations above, without flux through the edges."""

    def __init__(self, feed: float) -> None:
        super().__init__()
        self.feed = feed

    def evolution_rate(self, state: FieldCollection, t: float = 0) -> FieldCollection:
        """Rates of change of u and v."""
        u, v = state
        # SciPy's operators need no compilation, which would take longer than all steps.
        diffusion = [field.laplace({"derivative": 0}, backend="scipy") for field in (u, v)]
        reaction = u * v**2
        return FieldCollection(
            [0.16 * diffusion[0] - reaction + self.feed * (1 - u), 0.08 * diffusion[1] + reaction - (self.feed + KILL) * v]
        )


def solve(substrate: np.ndarray, catalyst: np.ndarray, feed: float, n_times: int) -> np.ndarray:
    """Frames of both, shape (field, time, y, x)."""
    grid = CartesianGrid([[0, length] for length in substrate.shape], substrate.shape)
    state, frames = FieldCollection([ScalarField(grid, substrate), ScalarField(grid, catalyst)]), MemoryStorage()
    # Explicit steps of one unit of time are stable up to 1 / (4 · 0.16).
    end = FRAME * (n_times - 1)
    GrayScott(feed).solve(state, t_range=end, dt=1.0, solver="euler", backend="numpy", tracker=[frames.tracker(FRAME)])
    return np.stack([frame.data for frame in frames], axis=1)


def write_split(path: Path, seed: np.random.SeedSequence, n_simulations: int, n_cells: int, seeds: Sequence[int], n_times: int) -> None:
    """Write one file of simulations with ``seeds[0]`` to ``seeds[1]`` seeds, each drawn from a random stream of its own."""
    frames, feeds = [], []
    for stream in seed.spawn(n_simulations):
        rng = np.random.default_rng(stream)
        feeds.append(rng.uniform(*FEED))
        frames.append(solve(*seeded(rng, n_cells, rng.integers(seeds[0], seeds[1] + 1)), feeds[-1], n_times))
    write_shard(
        path,
        dict(zip(("substrate", "catalyst"), np.stack(frames, axis=1), strict=True)),
        grid=Grid(n_cells, n_cells, SPACING, FRAME * TIME_UNIT, n_times),
        scalars={"feed_rate": np.array(feeds) / TIME_UNIT},
        units=UNITS,
        dataset_name="gray_scott",
        boundary=dict.fromkeys(("left", "right", "bottom", "top"), "WALL"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder that receives micro/ and meso/, each with train/, valid/ and test/")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--micro", type=int, nargs=3, default=(32, 4, 4), metavar="N", help="simulations of each split with one seed")
    parser.add_argument("--meso", type=int, nargs=3, default=(6, 3, 6), metavar="N", help="simulations of each split with many seeds")
    parser.add_argument("--micro-cells", type=int, default=48, metavar="N", help="cells along each axis of the micro domain")
    parser.add_argument("--meso-cells", type=int, default=96, metavar="N", help="cells along each axis of the meso domain")
    parser.add_argument("--frames", type=int, default=21, metavar="N")
    args = parser.parse_args()

    scales = {"micro": (args.micro, args.micro_cells, (1, 1)), "meso": (args.meso, args.meso_cells, (5, 9))}
    for scale, stream in zip(scales, np.random.SeedSequence(args.seed).spawn(len(scales)), strict=True):
        counts, n_cells, seeds = scales[scale]
        for split, part, count in zip(SPLITS, stream.spawn(len(SPLITS)), counts, strict=True):
            write_split(args.out / scale / split / "shard_0000.hdf5", part, count, n_cells, seeds, args.frames)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
