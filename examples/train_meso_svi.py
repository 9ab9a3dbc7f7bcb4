"""Adapt trained micro tokens to few meso simulations with Pyro's own SVI.

    python examples/train_meso_svi.py micro.pt runs/quick/data/meso --simulations 4 --out meso.pt

Fields and context are those of the micro tokens, which are copied, not changed. A batch of windows stands for the whole training set, so
that the hierarchical prior of the weights counts once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from pyro.infer import SVI
from pyro.optim import ClippedAdam
from torch.utils.data import DataLoader

import probtokens as pt
from probtokens.data import StepSampler, WindowDataset, split_folder, subset_order


def main(args: argparse.Namespace) -> None:
    micro = pt.load(args.micro)
    fields = args.fields or [spec.name for spec in micro.fields]
    every = pt.Trajectories.open(split_folder(args.campaign, "train"), fields, micro.normalizer.context_names)
    few = every.subset(subset_order(len(every), args.seed)[: args.simulations])
    torch.manual_seed(args.seed)
    tokens = pt.MesoTokens.untrained(micro, few)
    svi = SVI(tokens.model, tokens.guide, ClippedAdam({"lr": 1e-3}), pt.Elbo())

    windows = WindowDataset(few, args.horizon)
    batches = StepSampler(len(windows), args.batch_size, args.steps, args.seed)
    for step, batch in enumerate(DataLoader(windows, batch_sampler=batches, collate_fn=windows.collate)):
        loss = svi.step(batch.frames, batch.context)  # physical units
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step:5d}  -ELBO {loss:.2f} nats per token and frame")

    changes = tokens.described(tokens.weight_posterior().mean)["change"]
    print(f"relative change of kernels and biases: median {changes.median():.4f}, largest {changes.max():.4f}")
    tokens.save(args.out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("micro", type=Path, help="micro tokens: a file, e.g. from train_micro_svi.py, or a name such as hmx-standard")
    parser.add_argument("campaign", type=Path, help="folder with train/*.hdf5 in The Well's layout")
    parser.add_argument("--fields", nargs="+", help="in the order of the micro tokens' own, which are the default")
    parser.add_argument("--simulations", type=int, default=4, help="how many meso simulations to learn from")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--horizon", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("meso.pt"))
    main(parser.parse_args())
