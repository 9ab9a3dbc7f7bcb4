"""Learn the meso coupling of trained micro tokens from few simulations with Pyro's own SVI.

    python examples/train_meso_svi.py micro.pt runs/quick/data/meso --simulations 4 --out meso.pt

The micro tokens themselves are copied, not changed. A batch of windows stands for the whole training
set, so that the hierarchical prior of the weights counts once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from pyro.infer import SVI
from pyro.optim import ClippedAdam
from torch.utils.data import DataLoader

from probtokens.config import DataConfig, MesoConfig
from probtokens.data import StepSampler, TrajectorySet, WindowDataset, split_folder, subset_order
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.train.objectives import Elbo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("micro", type=Path, help="micro tokens, e.g. from train_micro_svi.py")
    parser.add_argument("campaign", type=Path, help="folder with train/*.hdf5 in The Well's layout")
    parser.add_argument("--simulations", type=int, default=4, help="how many meso simulations to learn from")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--horizon", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("meso.pt"))
    args = parser.parse_args()

    data = DataConfig()
    every = TrajectorySet.open(split_folder(args.campaign, "train"), data.fields, data.context)
    few = every.subset(subset_order(len(every), args.seed)[: args.simulations])

    torch.manual_seed(args.seed)
    tokens = MesoTokens(MicroTokens.load(args.micro), MesoConfig(), len(few), few.grid.n_times)
    svi = SVI(tokens.model, tokens.guide, ClippedAdam({"lr": 1e-3}), Elbo())

    windows = WindowDataset(few, args.horizon)
    batches = StepSampler(len(windows), args.batch_size, args.steps, args.seed)
    for step, batch in enumerate(DataLoader(windows, batch_sampler=batches, collate_fn=windows.collate)):
        loss = svi.step(batch.frames, batch.context)  # physical units
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step:5d}  -ELBO {loss:.2f} nats per token and frame")

    strengths = tokens.weights(tokens.weight_posterior().sample((200,)))["strengths"]
    print(f"adapter strengths: median |s| {strengths.abs().median():.4f}, largest {strengths.abs().amax():.3f}")
    tokens.save(args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
