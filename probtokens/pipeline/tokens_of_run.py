"""Trained token models by the name under which they forecast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probtokens.config import Config
    from probtokens.models.tokens import TokenForecaster

#: Names of ``rollout.models`` that are forecasts of token models.
TOKEN_MODELS = ("tokens", "micro_tokens")


def load_tokens(name: str, path_of: Callable[[str], Path], config: Config) -> TokenForecaster:
    """Read the model that forecasts as ``name``, one of ``TOKEN_MODELS``, for data of the scale that is forecast.

    Parameters
    ----------
    path_of
        Model file of a training, ``micro`` or ``meso``.
    config
        Configuration of the run.

    Raises
    ------
    ValueError
        If the file is missing, damaged or holds another kind of model; the message names it.
    """
    from probtokens.models.meso import MesoTokens
    from probtokens.models.micro import MicroTokens

    if name == "tokens":
        return MesoTokens.load(path_of("meso"))
    model = MicroTokens.load(path_of("micro"))
    model.name = name
    return model.on(config.data.meso_grid(model.grid)) if config.rollout.scale == "meso" else model
