"""Train micro tokens with Pyro's own SVI.

    python examples/train_micro_svi.py runs/quick/data/micro --steps 400 --out micro.pt

``probtokens.fit`` and recipes add stages, checkpoints and resuming; the model, the guide and the objective are the same. Any ELBO of Pyro
can take the objective's place.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from pyro.infer import SVI
from pyro.optim import ClippedAdam
from torch.utils.data import DataLoader

import probtokens as pt
from probtokens.data import StepSampler, WindowDataset, split_folder


def main(args: argparse.Namespace) -> None:
    trajectories = pt.Trajectories.open(split_folder(args.campaign, "train"), args.fields, args.context)
    torch.manual_seed(args.seed)
    tokens = pt.MicroTokens.untrained(trajectories)
    svi = SVI(tokens.model, tokens.guide, ClippedAdam({"lr": 1e-3}), pt.Elbo())

    windows = WindowDataset(trajectories, args.horizon)
    batches = StepSampler(len(windows), args.batch_size, args.steps, args.seed)
    for step, batch in enumerate(DataLoader(windows, batch_sampler=batches, collate_fn=windows.collate)):
        loss = svi.step(batch.frames, batch.context)  # physical units
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step:5d}  -ELBO {loss:.2f} nats per token and frame")

    tokens.save(args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("campaign", type=Path, help="folder with train/*.hdf5 in The Well's layout")
    parser.add_argument("--fields", nargs="+", default=["temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y"])
    parser.add_argument("--context", nargs="*", default=["shock_pressure"], help="scalars that tell simulations apart")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--horizon", type=int, default=4, help="steps between the first and the last frame of a window")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("micro.pt"))
    main(parser.parse_args())
