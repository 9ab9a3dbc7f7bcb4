"""Describes a stored rollout."""

from __future__ import annotations

from pathlib import Path

import rich.console

from probtokens.data.support import extrapolation
from probtokens.pipeline.inspect_data import describe_grid
from probtokens.predict import open_rollout, rollout_fields, rollout_grid
from probtokens.screen import next_step, say


def describe_rollout(path: Path, screen: rich.console.Console) -> None:
    """Print model, ensemble size, simulations, grid and fields.

    Raises
    ------
    ValueError
        If it is no rollout.
    """
    with open_rollout(path) as rollout:
        sizes, attributes = rollout.sizes, rollout.attrs
        say(screen, (str(path), "bold"), f": rollout of {attributes.get('model', 'a model')}")
        say(screen, f"members: {sizes['draw']}; simulations: {sizes['simulation']}; seed: {attributes.get('seed', 'unknown')}")
        say(screen, f"grid: {describe_grid(rollout_grid(rollout))}")
        say(screen, "fields: " + ", ".join(f"{spec.name} ({spec.unit})" for spec in rollout_fields(rollout)))
        outside = [str(text) for text in rollout["outside"].values] if "outside" in rollout.coords else []
        if text := extrapolation(
            attributes.get("model", "a model"), outside, [str(name) for name in rollout["simulation"].values[: len(outside)]]
        ):
            say(screen, (text, "yellow"))
        say(screen, f"in memory: {rollout['prediction'].nbytes / 2**20:.3g} MiB of predictions")
    next_step(screen, f'in Python: probtokens.predict.open_rollout("{path}"), an xarray.Dataset that is read when values are asked for')
