"""What a stage trains on: windows of frames, or of tokens in several views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from probtokens.config import ReconstructionStage, Stage
from probtokens.data.augmentation import Extension, RandomCrop, Reflection
from probtokens.data.dataset import TrajectorySet, WindowDataset
from probtokens.data.latents import TokenFile, TokenWindows, View, encode_views
from probtokens.data.normalize import mirror_image


class Replay(NamedTuple):
    """Windows of other simulations that a stage sees beside its own, so that what was known is not forgotten.

    Attributes
    ----------
    model
        The trained one, on the grid of the other simulations.
    windows
        Those of the other simulations.
    batch_size
        Windows of a step.
    """

    model: Any
    windows: WindowDataset
    batch_size: int


class StageData:
    """Windows and augmentations of the stages of one training.

    Tokens are kept from one latent stage to the next, while the autoencoder stays as it is.

    Parameters
    ----------
    folder
        Where tokens are kept while they are needed.
    seed
        Seeds the cells at which shifted views begin.
    reflect
        Whether to train on mirror images along y as well.
    """

    def __init__(self, model: nn.Module, trajectories: TrajectorySet, folder: Path, *, seed: int, reflect: bool) -> None:
        self.model: Any = model
        self.trajectories = trajectories
        self.folder = folder
        self.seed = seed
        self.reflect = reflect
        self._tokens: dict[int, TokenFile] = {}

    def windows(self, stage: Stage, encoding: Callable[[int, int], None] = lambda done, total: None) -> WindowDataset:
        """Windows of a stage.

        Parameters
        ----------
        stage
            What it asks for.
        encoding
            Told simulations done and in all while their tokens are encoded.

        Raises
        ------
        ValueError
            If its horizon does not fit the trajectories.
        """
        if not stage.on_tokens:
            self._tokens.clear()
            return WindowDataset(self.trajectories, stage.horizon, stage.latest_start)
        shifts: int = getattr(stage, "shifts")  # noqa: B009 - all stages on tokens have it
        if shifts not in self._tokens:
            self._tokens = {shifts: self._encoded(shifts, encoding)}
        return TokenWindows(self.trajectories, stage.horizon, self._tokens[shifts], stage.latest_start)

    def replay(self, stage: Stage, beside: StageData, encoding: Callable[[int, int], None]) -> Replay:
        """Windows of these trajectories for a stage that trains on others: batches with as many tokens as its own."""
        windows, ours, theirs = self.windows(stage, encoding), self._n_tokens(), beside._n_tokens()
        return Replay(self.model, windows, stage.batch_size * max(1, round(theirs / ours)))

    def _n_tokens(self) -> float:
        """Tokens of a frame."""
        ny, nx = self.trajectories.grid.shape
        return float(ny * nx / self.model.patch**2)

    def augmentations(self, stage: Stage) -> list[nn.Module]:
        """What happens to batches of frames: mirror images, and any position of the patches for the reconstruction of single frames."""
        found: list[nn.Module] = [Reflection(self.model.fields)] if self.reflect and not stage.on_tokens else []
        if isinstance(stage, ReconstructionStage):
            found.append(RandomCrop(self.model.patch, self.trajectories.grid.periodic))
        return found

    def _encoded(self, shifts: int, progress: Callable[[int, int], None]) -> TokenFile:
        mirror: View = partial(mirror_image, fields=self.model.fields)
        images = [_as_it_is, *([mirror] if self.reflect else [])]
        extension = Extension(self.model.fields, self.trajectories.boundary, self.model.patch)
        views = partial(_shifted, images=images, extension=extension, n=shifts, seed=self.seed) if shifts else lambda number: images
        return encode_views(self.trajectories, self._means, views, self.folder, progress)

    def _means(self, frames: Tensor) -> Tensor:
        """Token means (frame, channel, token_y, token_x) of frames (frame, field, y, x)."""
        return self.model.encode(frames.to(next(self.model.parameters()).device)).mean


def _shifted(number: int, *, images: Sequence[View], extension: Extension, n: int, seed: int) -> list[View]:
    """``n`` views of a trajectory that begin at random cells, mirrored in turns."""
    places = np.random.default_rng([seed, number]).integers(extension.patch + 1, size=(n, 2)).tolist()
    return [partial(_extended, image=images[k % len(images)], extension=extension, before=(y, x)) for k, (y, x) in enumerate(places)]


def _extended(frames: Tensor, image: View, extension: Extension, before: tuple[int, int]) -> Tensor:
    """Image of the extended frames, which begins ``before`` cells below and left of the image of the domain; edges are the domain's own."""
    y, x = before
    return image(extension(frames, (y if image is _as_it_is else extension.patch - y, x)))


def _as_it_is(frames: Tensor) -> Tensor:
    return frames
