"""Multiscale latent dynamics (MLD): the predecessor's method, a deterministic evolution of latent means and log-variances.

A variational autoencoder of every field has latents at an eighth of the resolution. Networks of every field alone advance their means
and log-variances, and then networks of all fields correct these together:

    (m, l)_f ← (m + D_f(m), l + E_f(m, l))_f,   (m, l) ← (m + C(m, c), l + K(m, l, c)),   x = decoder(m + exp(l / 2) ε)

Draws differ by ε alone, which is independent at every lead. Training is the codec first, then the networks of single fields, then those of
all fields, on horizons from 1 to 5. Many pores are learned by the last of these, which know single pores; the rest stays as it is.

What differs from the original, to its good: networks give changes, context scalars are known to the networks of all fields, and every field
is decoded in training, not the temperature alone. Losses of edges and of features of an image classifier are left out.

Source: Azarfar et al., arXiv 2506.12996.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from probtokens.baselines.learned import Learned
from probtokens.baselines.mld_network import LATENT, PLACE, Decoder, Encoder, UNet
from probtokens.config import Stage
from probtokens.config.base import NonNegative
from probtokens.data.normalize import Normalizer
from probtokens.data.trajectories import TrajectorySet
from probtokens.fields import Grid
from probtokens.nn.edges import wrap
from probtokens.train.objectives import Objective, Parts
from probtokens.train.stages import stage_of

#: Log-variances are kept within: what a network makes of its own outputs must not overflow.
_LOG_VARIANCE = (-14.0, 4.0)
#: Horizons of the curriculum.
HORIZONS = (1, 2, 3, 4, 5)
#: Of norms that are divided by.
_TINY = 1e-6


class Latent(NamedTuple):
    """Distribution of the latents of all fields: ``mean`` and ``log_variance``, each (batch, 4 · field, y / 8, x / 8)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Latents from standard normal noise of the mean's shape, or of shape (draw, *mean's)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise


class Mld(Learned):
    """Deterministic evolution of latent means and log-variances, sampled where it is decoded.

    Parameters
    ----------
    normalizer
        Fitted normalisation; it carries the fields and the context.
    grid
        Grid of the training data.
    width
        Width of the finest level of all networks; 64 is published.
    mirrored
        Whether it is trained on mirror images along y as well: fields that are odd then reach the negative of their range.

    Raises
    ------
    ValueError
        If an extent is no multiple of 8 cells.

    Examples
    --------
    >>> from probtokens import rollout
    >>> from probtokens.verify.token_pairs import GRID, normalizer, window
    >>> frames, context = window()
    >>> rollout(Mld(normalizer(), GRID, width=4), frames[:, 0], context, steps=2, draws=3).shape
    (3, 2, 2, 5, 16, 24)
    """

    name = "mld"

    def __init__(self, normalizer: Normalizer, grid: Grid, *, width: int = 16, mirrored: bool = True) -> None:
        super().__init__(normalizer, grid, mirrored=mirrored)
        n_fields, n_context = len(self.fields), len(normalizer.context_names)
        channels = LATENT * n_fields
        self.encoders = nn.ModuleList(Encoder(width) for _ in self.fields)
        self.decoders = nn.ModuleList(Decoder(width) for _ in self.fields)
        self.means = nn.ModuleList(UNet(LATENT, LATENT, width) for _ in self.fields)
        self.log_variances = nn.ModuleList(UNet(2 * LATENT, LATENT, width) for _ in self.fields)
        self.coupled_mean = UNet(channels + n_context, channels, width)
        self.coupled_log_variance = UNet(2 * channels + n_context, channels, width)
        wrap(self, grid.periodic)
        self.require_extent(grid)
        self.float()  # whatever torch's default is

    @classmethod
    def untrained(cls, trajectories: TrajectorySet, *, width: int = 16, mirrored: bool = True) -> Mld:
        """One that knows the training data's normalisation and grid alone; see the class."""
        return cls(Normalizer.fit(trajectories), trajectories.grid, width=width, mirrored=mirrored)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """``codec``, ``decoupled`` (networks of single fields) and ``coupled`` (of all fields)."""
        parts = {
            "codec": (self.encoders, self.decoders),
            "decoupled": (self.means, self.log_variances),
            "coupled": (self.coupled_mean, self.coupled_log_variance),
        }
        return {name: [parameter for network in networks for parameter in network.parameters()] for name, networks in parts.items()}

    def hidden_kernels(self) -> list[nn.Parameter]:
        """None: it is trained by AdamW."""
        return []

    def encode(self, frames: Tensor) -> Latent:
        """Latents of frames (batch, field, y, x), standard units."""
        parts = [encoder(field) for encoder, field in zip(self.encoders, frames.split(1, dim=1), strict=True)]
        mean, log_variance = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        return Latent(mean, log_variance.clamp(*_LOG_VARIANCE))

    def decode(self, z: Tensor) -> Tensor:
        """Frames (batch, field, y, x), standard units, of latents (batch, 4 · field, y / 8, x / 8)."""
        return torch.cat([decoder(part) for decoder, part in zip(self.decoders, z.split(LATENT, dim=1), strict=True)], dim=1)

    def advance(self, latent: Latent, context: Tensor, *, coupled: bool = True) -> Latent:
        """Latents one frame later; ``context`` is standardised, (batch, context). Without coupling every field goes alone."""
        parts = list(zip(latent.mean.split(LATENT, dim=1), latent.log_variance.split(LATENT, dim=1), strict=True))
        mean = torch.cat([m + network(m) for network, (m, _) in zip(self.means, parts, strict=True)], dim=1)
        changes = [network(torch.cat(part, dim=1)) for network, part in zip(self.log_variances, parts, strict=True)]
        log_variance = latent.log_variance + torch.cat(changes, dim=1)
        if coupled:
            maps = context[:, :, None, None].expand(-1, -1, *mean.shape[-2:])
            change = self.coupled_log_variance(torch.cat([mean, log_variance, maps], dim=1))
            mean, log_variance = mean + self.coupled_mean(torch.cat([mean, maps], dim=1)), log_variance + change
        return Latent(mean, log_variance.clamp(*_LOG_VARIANCE))

    def latents(self, x0: Tensor, context: Tensor, *, coupled: bool = True) -> Iterator[Latent]:
        """Latents at lead 0, 1, … without end, of first frames (batch, field, y, x) and context, both in standard units."""
        latent = self.encode(x0)
        while True:
            yield latent
            latent = self.advance(latent, context, coupled=coupled)

    def mean_frames(self, x0: Tensor, context: Tensor, leads: Collection[int]) -> Iterator[Tensor]:
        """What means decode to at some leads, standard units; see :class:`~probtokens.models.base.Trainable`."""
        latents = self.latents(self.normalizer.normalize(x0), self.normalizer.normalize_context(context))
        for lead, latent in enumerate(islice(latents, max(leads) + 1)):
            if lead in leads:
                yield self.decode(latent.mean)

    @torch.no_grad()
    def frames(self, initial: Tensor, context: Tensor, n_steps: int, n_draws: int, seed: int) -> Iterator[Tensor]:
        """What draws of the latents decode to."""
        generators = [torch.Generator().manual_seed(int(number)) for number in _seeds(seed, n_draws)]
        latents = self.latents(self.normalizer.normalize(initial), self.normalizer.normalize_context(context))
        for latent in islice(latents, 1, n_steps + 1):
            members = []
            for generator in generators:
                noise = torch.randn(latent.mean.shape, generator=generator).to(latent.mean)
                frames = self.normalizer.denormalize(self.decode(latent.sample(noise)))
                members.append(self.within(frames, initial))
            yield torch.stack(members)

    def require_extent(self, grid: Grid) -> None:
        """Refuse extents that are no whole places of latents."""
        if any(cells % PLACE for cells in grid.shape):
            raise ValueError(f"{self.name}: expected y and x as multiples of {PLACE} cells, got {grid.shape}")


def _seeds(seed: int, n: int) -> Tensor:
    """Seeds of draws; the first are the same however many there are."""
    return torch.randint(2**62, (n,), generator=torch.Generator().manual_seed(seed))


class VariationalCodec(Objective):
    """Squared error of frames that drawn latents decode to, and the divergence of latents from standard normal ones."""

    learn: tuple[str, ...] = ("codec",)
    kl_weight: NonNegative = Field(default=1e-4, description="Weight of the divergence, per latent, beside the error in standard units.")

    def parts(self, model: Mld, frames: Tensor, context: Tensor) -> Parts:
        """``loss``, ``error`` and ``divergence`` of the first frame of every window."""
        x = model.normalizer.normalize(frames[:, 0])
        latent = model.encode(x)
        error = (model.decode(latent.sample(torch.randn_like(latent.mean))) - x).square().mean()
        divergence = 0.5 * (latent.mean.square() + latent.log_variance.exp() - latent.log_variance - 1).mean()
        return {"loss": error + self.kl_weight * divergence, "error": error, "divergence": divergence}


class LatentEvolution(Objective):
    """Relative squared errors of latent means and log-variances, plus that of frames that draws of them decode to."""

    learn: tuple[str, ...] = ("coupled",)

    @property
    def coupled(self) -> bool:
        """Whether networks of all fields take part."""
        return "coupled" in self.learn

    def parts(self, model: Mld, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` and its parts ``mean``, ``log_variance`` and ``frames``, summed over leads as in the original."""
        x = model.normalizer.normalize(frames)
        found = islice(model.latents(x[:, 0], model.normalizer.normalize_context(context), coupled=self.coupled), 1, x.shape[1])
        sums = dict.fromkeys(("mean", "log_variance", "frames"), x.new_zeros(()))
        for lead, latent in enumerate(found, start=1):
            with torch.no_grad():
                true = model.encode(x[:, lead])
            missed = (model.decode(latent.sample(torch.randn_like(latent.mean))) - x[:, lead]).square().mean()
            told = (_relative(latent.mean, true.mean), _relative(latent.log_variance, true.log_variance), missed)
            sums = {name: total + value for (name, total), value in zip(sums.items(), told, strict=True)}
        return {"loss": torch.stack(list(sums.values())).sum(), **sums}


def _relative(found: Tensor, true: Tensor) -> Tensor:
    """Squared error of latents (batch, channel, y, x) over the square of what their norms are on average."""
    norm = true.norm(dim=1, keepdim=True).mean(dim=(-2, -1), keepdim=True) + _TINY
    return ((found - true) / norm).square().mean()


def evolution_stages(group: str, steps: int, *, batch_size: int = 8, learning_rate: float = 1e-3) -> list[Stage]:
    """Curriculum of the networks of a group, ``decoupled`` or ``coupled``: so many steps for every horizon from 1 to 5."""
    objective = LatentEvolution(learn=(group,))
    return [
        stage_of(objective, f"{group}_{horizon}", steps=steps, horizon=horizon, batch_size=batch_size, learning_rate=learning_rate)
        for horizon in HORIZONS
    ]
