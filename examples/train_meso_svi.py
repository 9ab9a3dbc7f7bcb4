"""Learn the meso coupling of trained micro tokens with nothing but Pyro and a torch optimizer.

    python examples/train_meso_svi.py micro.pt runs/quick/data/meso --simulations 4 --out meso.pt

The micro tokens themselves are copied, not changed. The ELBO of a window is scaled up to the
training set (``Scales``), so that the hierarchical priors of the coupling count once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from pyro.infer import TraceMeanField_ELBO
from torch.utils.data import DataLoader

from probtokens.config import DataConfig, MesoConfig, StageConfig
from probtokens.data import StepSampler, TrajectorySet, WindowDataset, split_folder, subset_order
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import local_parameters


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
    micro = MicroTokens.load(args.micro)
    tokens = MesoTokens(micro, MesoConfig(), len(few), few.grid.n_times)
    tokens.begin_stage(StageConfig(name="coupling", objective="elbo", steps=args.steps, horizon=args.horizon, batch_size=args.batch_size))
    with local_parameters():
        elbo = TraceMeanField_ELBO()(tokens.model, tokens.guide)
    learned = [parameter for parameter in tokens.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=1e-3)

    windows = WindowDataset(few, micro.normalizer, args.horizon)
    batches = StepSampler(len(windows), args.batch_size, args.steps, args.seed)
    for step, batch in enumerate(DataLoader(windows, batch_sampler=batches, collate_fn=windows.collate)):
        optimizer.zero_grad()
        with local_parameters():
            loss = elbo(batch.frames, tokens.context_vector(batch.context), None, tokens.scales)
        loss.backward()
        optimizer.step()
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step:5d}  -ELBO of the training set {loss.item():.0f} nats")

    strengths = tokens.sample_weights(200)["strengths"].detach()
    print(f"adapter strengths: median |s| {strengths.abs().median():.4f}, largest {strengths.abs().amax():.3f}")
    tokens.save(args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
