"""Linear tokens of patches, random samples of them, and how far tokens lie from a reference sample."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from probtokens.config import TokenConfig
from probtokens.data import Normalizer, TrajectorySet
from probtokens.fields import FieldSpec, field_index
from probtokens.nn.autoencoder import TokenAutoencoder

#: Share of left-out tokens within the threshold.
QUANTILE = 0.99
#: Fewer tokens give neither a threshold nor a verdict.
MIN_TOKENS = 100
#: Simulations are left out one by one, or in this many groups if there are more.
MAX_FOLDS = 16
N_RESAMPLES = 200
#: Edges between kinds of hot patches [K], and the solid fraction below which a cell is a void's.
HOT_EDGES = (2000.0, 3500.0)
VOID = 0.9
#: Smallest threshold, in standard deviations of a token channel: what differs less is the same state. Where matter rests or
#: is uniform behind the shock most distances are round-off.
MIN_DISTANCE = 0.01

Array = NDArray[np.floating]
Simulations = NDArray[np.int64]


class LinearTokens:
    """The linear code that training starts from: principal components of each field group's patches, of unit variance.

    Parameters
    ----------
    settings
        Patch size, field groups and their channels.
    trajectories
        Micro training simulations, on which normalisation and components are fitted.

    Raises
    ------
    ValueError
        If the groups have not exactly the fields of the trajectories, or their grid is not a multiple of the patch size.
    """

    def __init__(self, settings: TokenConfig, trajectories: TrajectorySet) -> None:
        self.patch = settings.patch
        settings = settings.of(trajectories.fields)
        self.channels = sum(group.channels for group in settings.groups)
        self.normalizer = Normalizer.fit(trajectories)
        groups = [[field_index(trajectories.fields, name) for name in group.fields] for group in settings.groups]
        # Without blocks and with heads that start silent, encoder and decoder are their linear parts.
        with torch.random.fork_rng(devices=[]):
            channels = [group.channels for group in settings.groups]
            self._autoencoder = TokenAutoencoder(groups, channels, self.patch, [1] * len(groups), 0, 0)
        frames = (torch.tensor(trajectories.whole(i)) for i in range(len(trajectories)))
        self._autoencoder.initialise(map(self.normalizer.normalize, frames))

    @torch.inference_mode()
    def encode(self, frames: Array) -> Tensor:
        """Tokens (time, channel, token_y, token_x) of frames (time, field, y, x) in physical units."""
        return self._autoencoder.encode(self.normalizer.normalize(torch.tensor(frames))).mean

    @torch.inference_mode()
    def decode(self, tokens: Tensor) -> Array:
        """Frames (time, field, y, x) in physical units of tokens (time, channel, token_y, token_x)."""
        return self.normalizer.denormalize(self._autoencoder.decode(tokens).mean).numpy()


def as_rows(tokens: Tensor) -> Array:
    """Tokens (time, channel, token_y, token_x) as (token, channel), in the order (time, token_y, token_x)."""
    return tokens.movedim(1, -1).flatten(0, -2).numpy()


def patches_of(values: Array, patch: int) -> Array:
    """Values (time, y, x) as (time, token_y, token_x, cell)."""
    n_times, ny, nx = values.shape
    cut = values.reshape(n_times, ny // patch, patch, nx // patch, patch)
    return cut.swapaxes(2, 3).reshape(n_times, ny // patch, nx // patch, patch**2)


class TokenSample:
    """Uniform sample without replacement of at most ``capacity`` tokens from a stream of unknown length.

    Every token draws a random key; those with the smallest are kept.

    Attributes
    ----------
    tokens
        Shape (token, channel).
    simulations
        Simulation that each comes from, shape (token,).
    seen, sources
        Tokens in the stream so far, and simulations that had any.
    """

    def __init__(self, capacity: int, channels: int, rng: np.random.Generator) -> None:
        self.capacity, self._rng = capacity, rng
        self.seen = self.sources = 0
        self.tokens: Array = np.zeros((0, channels), dtype=np.float32)
        self.simulations: Simulations = np.zeros(0, dtype=np.int64)
        self._keys: Array = np.zeros(0)

    def update(self, tokens: Array, simulation: int) -> None:
        """Add all tokens (token, channel) of one simulation."""
        self.seen += len(tokens)
        self.sources += len(tokens) > 0
        keys = self._rng.random(len(tokens))
        wanted = keys < (self._keys.max() if len(self._keys) == self.capacity else np.inf)
        all_keys = np.concatenate([self._keys, keys[wanted]])
        kept = np.argsort(all_keys)[: self.capacity]
        self._keys = all_keys[kept]
        self.tokens = np.concatenate([self.tokens, tokens[wanted]])[kept]
        self.simulations = np.concatenate([self.simulations, np.full(wanted.sum(), simulation)])[kept]


class Reference:
    """Distance of tokens to the nearest of a sample, in standard deviations of a token channel.

    Parameters
    ----------
    samples
        One for each stratum; a token is compared with those of all strata.

    Attributes
    ----------
    left_out
        For each stratum the distances of its own tokens to the nearest from other simulations, shape (token,).
    thresholds
        99 % quantiles of those, shape (stratum,); NaN for a stratum with too few tokens.

    Raises
    ------
    ValueError
        If the tokens are of fewer than two simulations.
    """

    def __init__(self, samples: Sequence[TokenSample]) -> None:
        tokens = np.concatenate([sample.tokens for sample in samples])
        simulations = np.concatenate([sample.simulations for sample in samples])
        if len(np.unique(simulations)) < 2:
            raise ValueError(f"token support: expected a reference from two simulations or more, got {len(np.unique(simulations))}")
        self._tree = cKDTree(tokens)
        distances = _distances_left_out(tokens, simulations)
        self.left_out = tuple(np.split(distances, np.cumsum([len(sample.tokens) for sample in samples])[:-1]))
        self.thresholds = np.array([_threshold(part) if len(part) >= MIN_TOKENS else np.nan for part in self.left_out])

    def distances(self, tokens: Array) -> Array:
        """Euclidean distance of tokens (token, channel) to the nearest, shape (token,)."""
        return np.asarray(self._tree.query(tokens)[0])


def _distances_left_out(tokens: Array, simulations: Simulations) -> Array:
    """Distance of each token to the nearest of the others without its own simulation and those left out with it."""
    folds = np.unique(simulations, return_inverse=True)[1] % MAX_FOLDS
    distances = np.empty(len(tokens))
    for fold in np.unique(folds):
        out = folds == fold
        distances[out] = cKDTree(tokens[~out]).query(tokens[out])[0]
    return distances


def _threshold(distances: Array) -> float:
    return max(float(np.quantile(distances, QUANTILE)), MIN_DISTANCE)


def share_interval(
    setters: Sequence[tuple[Array, Simulations]], distances: Array, simulations: Simulations, rng: np.random.Generator
) -> tuple[float, float]:
    """90 % bootstrap interval of the share of ``distances`` beyond the smallest threshold that ``setters`` give.

    Simulations are resampled, not tokens: those of one simulation are alike. Those that set a threshold are, too.

    Parameters
    ----------
    setters
        Distances that set a threshold and the simulation of each, shape (token,).
    distances, simulations
        Those whose share is wanted, likewise.
    """
    groups = [[d[names == name] for name in np.unique(names)] for d, names in (*setters, (distances, simulations))]
    shares = []
    for _ in range(N_RESAMPLES):
        *drawn, queries = (np.concatenate([group[i] for i in rng.integers(len(group), size=len(group))]) for group in groups)
        shares.append((queries > min(map(_threshold, drawn))).mean())
    low, high = np.quantile(shares, (0.05, 0.95))
    return float(low), float(high)


class Strata:
    """Kinds of patches that are judged apart, by their hottest cell; cold ones also by whether they hold a void.

    Rare kinds count as much as common ones, and a frequent kind cannot pass for a rare one: among cold patches those at
    pores are few in micro and many in meso frames, and farther from each other than those in the bulk.

    Parameters
    ----------
    fields
        Fields of the frames; without a solid fraction cold patches are one kind.
    threshold
        Temperature above which a patch is hot [K].

    Attributes
    ----------
    names
        Names of the kinds, coldest first.

    Raises
    ------
    ValueError
        If there is no temperature.
    """

    def __init__(self, fields: Sequence[FieldSpec], threshold: float) -> None:
        self._temperature = field_index(fields, "temperature")
        names = [spec.name for spec in fields]
        self._solid = names.index("solid_fraction") if "solid_fraction" in names else None
        self._edges = np.array([threshold, *(edge for edge in HOT_EDGES if edge > threshold)])
        cold, edges = f"≤ {threshold:g} K", self._edges
        hot = (*(f"{low:g} … {high:g} K" for low, high in pairwise(edges)), f"> {edges[-1]:g} K")
        self.names = (cold, *hot) if self._solid is None else (f"{cold}, solid", f"{cold}, void", *hot)

    def __call__(self, frames: Array, patch: int) -> NDArray[np.int64]:
        """Number of the kind of every patch, (time, token_y, token_x), of frames (time, field, y, x)."""
        numbers = np.searchsorted(self._edges, patches_of(frames[:, self._temperature], patch).max(-1))
        if self._solid is None:
            return numbers
        void = patches_of(frames[:, self._solid], patch).min(-1) < VOID
        return np.where((numbers == 0) & ~void, 0, numbers + 1)

    @property
    def n_cold(self) -> int:
        """How many of the first kinds are cold."""
        return 1 if self._solid is None else 2
