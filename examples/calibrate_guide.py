"""Check the guide of trained micro tokens by simulation: posteriors of trajectories that the model itself drew, beside what they came from.

python examples/calibrate_guide.py hmx-standard runs/standard/data/micro --out docs/results/guide/calibration.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import torch

import probtokens
from probtokens.data import TrajectorySet, split_folder
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.record import hardware, versions
from probtokens.verify.guide_calibration import guide_calibration
from probtokens.weights import resolved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="file of micro tokens, or the name of those in the package")
    parser.add_argument(
        "campaign", type=Path, help="folder with valid/*.hdf5 in The Well's layout, whose first frames trajectories begin with"
    )
    parser.add_argument("--trajectories", type=int, default=200)
    parser.add_argument("--controls", type=int, default=48, help="trajectories for guides with other scales, which have to fail")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="JSON file that receives the checks")
    args = parser.parse_args()

    model = MicroTokens.load(resolved(args.model))
    names = tuple(spec.name for spec in model.fields)
    trajectories = TrajectorySet.open(split_folder(args.campaign, "valid"), names, model.normalizer.context_names)
    first = torch.stack([torch.tensor(trajectories.frames(number, 0, 1))[0] for number in range(len(trajectories))])
    context = torch.as_tensor(trajectories.context)

    def calibrated(n: int, scale: float) -> list:
        return guide_calibration(model, first, context, n_trajectories=n, seed=args.seed, scale=scale)

    checks = calibrated(args.trajectories, 1.0)
    wrong = {f"{scale:g}": sum(not check.passed for check in calibrated(args.controls, scale)) for scale in (0.75, 1.25)}
    document = {
        "version": probtokens.__version__,
        "versions": versions(),
        "hardware": hardware(),
        "trajectories": args.trajectories,
        "seed": args.seed,
        "checks": [{**dataclasses.asdict(check), "passed": check.passed} for check in checks],
        "failed_with_scales_times": wrong,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for check in checks:
        print(f"{'passed' if check.passed else 'FAILED'}: {check.quantity}: {check.measured:.3f}")
    print(f"failed with scales times: {wrong}")


if __name__ == "__main__":
    main()
