"""What a stage trains on: windows of frames, or of tokens in several views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from probtokens.config import StageConfig
from probtokens.data.dataset import TrajectorySet, WindowDataset
from probtokens.data.latents import TokenWindows
from probtokens.data.normalize import Normalizer
from probtokens.train.augmentation import Extension, RandomCrop, Reflection

View = Callable[[Tensor], Tensor]


def stage_windows(
    model: nn.Module, trajectories: TrajectorySet, normalizer: Normalizer, stage: StageConfig, *, seed: int, reflect: bool
) -> WindowDataset:
    """Windows of a stage.

    Raises
    ------
    ValueError
        If the stage asks for tokens of a model that has none, or its horizon does not fit the trajectories.
    """
    if stage.objective != "latent":
        return WindowDataset(trajectories, normalizer, stage.horizon, stage.latest_start)
    encode = getattr(model, "token_means", None)
    if encode is None:
        raise ValueError(f"stage {stage.name!r}: expected a model with tokens for objective latent, got {type(model).__name__}")
    images: list[View] = [_as_it_is, *([Reflection(normalizer).reflect] if reflect else [])]
    tokens: Any = model.tokens
    extension = Extension(normalizer, trajectories.boundary, tokens.patch)
    views = partial(_shifted, images=images, extension=extension, n=stage.shifts, seed=seed) if stage.shifts else lambda number: images
    return TokenWindows(trajectories, normalizer, stage.horizon, encode, views, stage.latest_start)


def stage_augmentations(model: nn.Module, normalizer: Normalizer, stage: StageConfig, *, reflect: bool) -> list[nn.Module]:
    """What happens to batches of frames: mirror images, and any position of the patches for the reconstruction of single frames."""
    found: list[nn.Module] = [Reflection(normalizer)] if reflect and stage.objective != "latent" else []
    tokens = getattr(model, "tokens", None)
    return [*found, RandomCrop(tokens.patch)] if tokens is not None and stage.horizon == 0 else found


def _shifted(number: int, *, images: Sequence[View], extension: Extension, n: int, seed: int) -> list[View]:
    """``n`` views of a trajectory that begin at random cells, mirrored in turns."""
    places = np.random.default_rng([seed, number]).integers(extension.patch + 1, size=(n, 2)).tolist()
    return [partial(_extended, image=images[k % len(images)], extension=extension, before=(y, x)) for k, (y, x) in enumerate(places)]


def _extended(frames: Tensor, image: View, extension: Extension, before: tuple[int, int]) -> Tensor:
    return extension(image(frames), before)


def _as_it_is(frames: Tensor) -> Tensor:
    return frames
