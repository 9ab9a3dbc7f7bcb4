"""Train micro tokens with nothing but Pyro and a torch optimizer.

    python examples/train_micro_svi.py runs/quick/data/micro --steps 400 --out micro.pt

The package's own loop (``probtokens train micro``) adds stages, checkpoints and resuming; the model, the guide
and the ELBO are the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from pyro.infer import TraceMeanField_ELBO
from torch.utils.data import DataLoader

from probtokens.config import DataConfig, TokenConfig
from probtokens.data import Normalizer, StepSampler, TrajectorySet, WindowDataset, split_folder
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import local_parameters


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
    normalizer = Normalizer.fit(trajectories)
    windows = WindowDataset(trajectories, normalizer, args.horizon)
    batches = StepSampler(len(windows), args.batch_size, args.steps, args.seed)

    torch.manual_seed(args.seed)
    tokens = MicroTokens(TokenConfig(), normalizer, trajectories.grid)
    tokens.initialise(trajectories)  # principal components of patches
    with local_parameters():  # parameters live in the modules, not in Pyro's global store
        elbo = TraceMeanField_ELBO()(tokens.model, tokens.guide)
    optimizer = torch.optim.AdamW(tokens.parameters(), lr=1e-3)

    for step, batch in enumerate(DataLoader(windows, batch_sampler=batches, collate_fn=windows.collate)):
        optimizer.zero_grad()
        with local_parameters():
            loss = elbo(batch.frames, tokens.context_vector(batch.context), None, tokens.scales)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tokens.parameters(), 100.0 * len(batch))
        optimizer.step()
        if step % 20 == 0 or step == args.steps - 1:
            print(f"step {step:5d}  -ELBO per window {loss.item() / len(batch):.1f} nats")

    tokens.save(args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
