"""Draw posterior predictive rollouts of a meso simulation with ``pyro.infer.Predictive``.

    python examples/posterior_predictive.py meso.pt runs/quick/data/meso --draws 50

Every draw holds its coupling weights and its trajectory effect over the whole rollout. The streaming
``forecast`` method draws from the same distribution in bounded memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from pyro.infer import Predictive

from probtokens.config import DataConfig
from probtokens.data import TrajectorySet, split_folder
from probtokens.fields import field_index
from probtokens.models.meso import MesoTokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meso", type=Path, help="meso tokens, e.g. from train_meso_svi.py")
    parser.add_argument("campaign", type=Path, help="folder with test/*.hdf5 in The Well's layout")
    parser.add_argument("--simulation", type=int, default=0)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    data = DataConfig()
    trajectories = TrajectorySet.open(split_folder(args.campaign, "test"), data.fields, data.context)
    tokens = MesoTokens.load(args.meso)
    first = torch.tensor(trajectories.frames(args.simulation, 0, 1))
    context = torch.tensor(trajectories.context[[args.simulation]])

    torch.manual_seed(args.seed)
    predictive = Predictive(tokens.model, guide=tokens.guide, num_samples=args.draws)
    with torch.no_grad():
        draws = predictive(first[None], context, args.steps)["x"]  # (draw, simulation, lead, field, y, x), physical units

    temperature = draws[:, 0, :, field_index(tokens.fields, "temperature")]
    hot = (temperature > 875.0).float().mean((-2, -1)) * trajectories.grid.ny * trajectories.grid.nx * trajectories.grid.cell_area
    print("time [ns]  hot-spot area [µm²]: 5 %, median, 95 % of the draws")
    for lead in range(1, args.steps + 1):
        low, middle, high = hot[:, lead - 1].quantile(torch.tensor([0.05, 0.5, 0.95])).tolist()
        print(f"{lead * trajectories.grid.time_step:9.3f}  {low:8.3f} {middle:8.3f} {high:8.3f}")


if __name__ == "__main__":
    main()
