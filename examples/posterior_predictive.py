"""Draw posterior predictive rollouts of test simulations, and put them into a file of ArviZ with what was observed.

    python examples/posterior_predictive.py meso.pt runs/quick/data/meso --draws 50 --out forecast.nc

Every draw holds its weights and its trajectory effect over the whole rollout. ``pyro.infer.Predictive`` draws from the same
distribution; ``rollout`` does so in bounded memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import probtokens as pt
from probtokens.data import split_folder
from probtokens.evaluate.global_sites import global_sites


def main(args: argparse.Namespace) -> None:
    tokens = pt.load(args.model)
    fields = args.fields or [spec.name for spec in tokens.fields]
    every = pt.Trajectories.open(split_folder(args.campaign, "test"), fields, tokens.normalizer.context_names)
    tests = every.subset(range(min(args.simulations, len(every))))

    ensemble = pt.rollout(tokens, tests, steps=args.steps, draws=args.draws, seed=args.seed).compute()
    for name, scores in pt.score(ensemble, tests)["fields"].items():
        print(f"{name}: CRPS {scores['crps']:.3g}, spread/skill {scores['spread_skill']:.2f}, 90 % covers {scores['coverage_90']:.2f}")

    sites = global_sites(tokens, tests, draws=args.draws, seed=args.seed)  # posterior, prior and log_likelihood
    pt.to_arviz(ensemble, tests, **sites).to_netcdf(args.out, engine="h5netcdf")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="tokens of either scale: a file, or a name such as hmx-standard")
    parser.add_argument("campaign", type=Path, help="folder with test/*.hdf5 in The Well's layout")
    parser.add_argument("--fields", nargs="+", help="in the order of the tokens' own, which are the default")
    parser.add_argument("--simulations", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("forecast.nc"))
    main(parser.parse_args())
