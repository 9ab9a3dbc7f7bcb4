"""Writes the small weights that later versions must load: once for every format, by ``python -m tests.models.store``."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from probtokens.config import MesoConfig
from probtokens.models import files
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import NO_SOURCES
from probtokens.models.tokens import TokenForecaster
from probtokens.verify.token_pairs import GRID, TOKENS, normalizer, randomise, window

STORED = Path(__file__).parent / "stored"


def forecast(model: TokenForecaster) -> torch.Tensor:
    """Every eighth cell of the third frame of the chain of means, (simulation, field, y, x)."""
    frames, context = window()
    *_, last = model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=1, seed=0, sources=NO_SOURCES)
    return last[0, :, :, ::8, ::8]


def main() -> None:
    torch.manual_seed(0)
    micro = MicroTokens(
        TOKENS.model_copy(update={"width": 4, "group_width": 4, "patch": 4, "trajectory_dim": 2}),
        normalizer(),
        GRID,
    )
    randomise(micro)
    meso = MesoTokens(micro, MesoConfig(guide_rank=1), n_simulations=3, n_times=5)
    randomise(meso.posterior)
    for model in (micro, meso):
        kind = files.kind_of(type(model))
        path = STORED / f"format_{files._FORMATS[kind]}_{kind}.pt"
        if not path.exists():  # what an earlier version has stored stays
            model.save(path)
            path.with_suffix(".json").write_text(json.dumps(forecast(model).tolist()) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
