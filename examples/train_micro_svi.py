"""Train micro tokens with Pyro's own SVI.

    python examples/train_micro_svi.py runs/quick/data/micro --steps 400 --out micro.pt

The package's own loop (``probtokens train micro``) adds stages, checkpoints and resuming; the model, the guide
and the objective are the same. Any ELBO of Pyro can take the objective's place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from pyro.infer import SVI
from pyro.optim import ClippedAdam
from torch.utils.data import DataLoader

from probtokens.config import DataConfig, TokenConfig
from probtokens.data import Normalizer, StepSampler, TrajectorySet, WindowDataset, split_folder
from probtokens.models.micro import MicroTokens
from probtokens.train.objectives import Elbo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", type=Path, help="folder with train/*.hdf5 in The Well's layout")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--horizon", type=int, default=4, help="steps between the first and the last frame of a window")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("micro.pt"))
    args = parser.parse_args()

    data = DataConfig()
    trajectories = TrajectorySet.open(split_folder(args.campaign, "train"), data.fields, data.context)
    windows = WindowDataset(trajectories, args.horizon)
    batches = StepSampler(len(windows), args.batch_size, args.steps, args.seed)

    torch.manual_seed(args.seed)
    tokens = MicroTokens(TokenConfig(), Normalizer.fit(trajectories), trajectories.grid)
    tokens.initialise(torch.tensor(trajectories.frames(number)) for number in range(len(trajectories)))  # principal components
    svi = SVI(tokens.model, tokens.guide, ClippedAdam({"lr": 1e-3}), Elbo())

    for step, batch in enumerate(DataLoader(windows, batch_sampler=batches, collate_fn=windows.collate)):
        loss = svi.step(batch.frames, batch.context)  # physical units
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step:5d}  -ELBO {loss:.2f} nats per token and frame")

    tokens.save(args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
