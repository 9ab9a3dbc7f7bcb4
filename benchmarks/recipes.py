"""What the benchmarks train by, and what they score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from probtokens.config import ParcConfig, load_config
from probtokens.fields import HotSpot

LEADS = (2, 5, 10, 15, 20, 30, 40)
HOT = HotSpot("temperature", 875.0)

#: Processes that share a training's batches, where its objective allows it.
DEVICES = 2

_EXAMPLES = Path(__file__).parents[1] / "examples"

#: How tokens are adapted.
RECIPE = load_config(_EXAMPLES / "meso.yaml")


def longer(factor: int) -> ParcConfig:
    """PARC with so many times the steps of the package's own schedule."""
    return ParcConfig(stages=tuple(stage.model_copy(update={"steps": factor * stage.steps}) for stage in ParcConfig().stages))


#: How PARC is trained, and with half the steps, which tells whether it has converged.
PARC, PARC_HALF = longer(4), longer(2)


def short_recipe(share: float, recipe: Path = _EXAMPLES / "micro.yaml") -> dict[str, Any]:
    """A recipe for micro tokens with a share of its steps, and without the guide, on which no forecast depends; as its file has it."""
    document = load_config(recipe).model_dump(mode="json")
    stages = [stage for stage in document["micro"]["stages"] if stage["name"] != "guide"]
    document["micro"]["stages"] = [stage | {"steps": max(1, round(share * stage["steps"]))} for stage in stages]
    return document
