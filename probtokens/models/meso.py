"""Meso tokens: micro tokens on a larger lattice, whose transition few simulations adapt under a hierarchical prior."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from pathlib import Path

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.func import functional_call

from probtokens.config import MesoConfig, TokenConfig
from probtokens.data.trajectories import TrajectorySet, require_trajectories
from probtokens.models.files import ModelFile, load_model, save_model
from probtokens.models.micro import MicroTokens
from probtokens.models.priors import WeightPosterior, WeightPrior
from probtokens.models.state_space import Weights
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.edges import wrap
from probtokens.nn.lattice import merge_leading

#: Part of a fresh layer's numbers that a change of silent ones is measured in.
_SILENT = 0.1


class MesoTokens(TokenForecaster):
    """Micro tokens on a larger lattice: a transition that few simulations adapt.

    A step is z_t ~ Normal(z_t−1 + f_θ(z_t−1, u, c), σ_θ(·)). Through the kernels of f a token hears of its
    neighbours. The numbers θ are those of the micro transition, each with a relative change that the site ``w``
    holds: at the centre of its prior the model *is* the micro tokens. All that is adapted has a joint low-rank Gaussian posterior; codec
    and guide are the micro tokens' own.

    Parameters
    ----------
    micro
        Trained micro tokens; copied, never changed. Meso simulations have the cells and frame step of their data, see
        :meth:`~probtokens.models.tokens.TokenForecaster.on`.
    config
        Prior and schedule.
    n_simulations
        Meso simulations trained on; with 0 a batch of windows stands for itself, as for evidence of held-out simulations.
    n_times
        Frames of each; with ``n_simulations`` it weighs the data against the prior.

    Examples
    --------
    >>> from probtokens.verify.token_pairs import MESO, micro_tokens
    >>> MesoTokens(micro_tokens(), MESO, n_simulations=4, n_times=21).weight_prior().event_shape
    torch.Size([...])
    """

    def __init__(self, micro: MicroTokens, config: MesoConfig, n_simulations: int = 0, n_times: int = 0) -> None:
        super().__init__(micro.tokens, copy.deepcopy(micro.normalizer), micro.learned_on)
        self.grid, self.patch, self.steps_per_frame = micro.grid, micro.patch, micro.steps_per_frame
        self.config = config
        self.population = (n_simulations, n_times) if n_simulations else None
        self.autoencoder, self.transition = copy.deepcopy(micro.autoencoder), copy.deepcopy(micro.transition)
        self.trajectory_encoder, self.smoother = copy.deepcopy(micro.trajectory_encoder), copy.deepcopy(micro.smoother)
        self.token_evidence = copy.deepcopy(micro.token_evidence)
        self._adapted = _Adapted(self.transition, super().parameter_groups()["noise"])
        self.prior = WeightPrior(self._adapted.sizes, config.prior_scale)
        self.posterior = WeightPosterior(self.prior, self._adapted.n_spread, config.guide_rank)
        wrap(self, self.grid.periodic)
        self.float().requires_grad_(False)  # whatever torch's default is
        for parameters in self.parameter_groups().values():
            for parameter in parameters:
                parameter.requires_grad_(True)

    @classmethod
    def untrained(cls, micro: MicroTokens, trajectories: TrajectorySet, config: MesoConfig | None = None) -> MesoTokens:
        """Meso tokens that have learned nothing yet, for training on these simulations; see the class.

        Raises
        ------
        ValueError
            If one of both is something else, or cells or frame step are not those that the micro tokens continue.
        """
        if not isinstance(micro, MicroTokens):
            raise ValueError(f"micro: expected trained MicroTokens, got {type(micro).__name__}")
        require_trajectories(trajectories, "trajectories")
        micro.require_grid(trajectories.grid, "trajectories")
        return cls(micro, config or MesoConfig(), len(trajectories), trajectories.grid.n_times)

    @classmethod
    def of_prior(cls, micro: MicroTokens, config: MesoConfig | None = None) -> MesoTokens:
        """Meso tokens that have seen no meso simulation: their posterior is the prior."""
        model = cls(micro, config or MesoConfig())
        model.posterior.become_prior()
        return model

    @property
    def adapted(self) -> list[str]:
        """Names of the kernels and biases that ``w`` changes, in the order of its blocks."""
        return self._adapted.names

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """``dynamics``: the posterior's centre of what tells means. ``noise``: that of what tells spread. ``weights``: its covariance.

        ``guide`` is as that of micro tokens. The micro networks themselves are in no group.
        """
        posterior = self.posterior
        covariance = [posterior.log_scale, posterior.factor]
        guide = super().parameter_groups()["guide"]
        return {"dynamics": [posterior.scales, posterior.changes], "noise": [posterior.spread], "weights": covariance, "guide": guide}

    def hidden_kernels(self) -> list[nn.Parameter]:
        """None: what learns is a vector."""
        return []

    def compiled_parts(self) -> list[tuple[nn.Module, str]]:
        """Codec alone: every draw has a transition of its own."""
        return [(owner, name) for owner, name in super().compiled_parts() if owner is not self.transition]

    def weight_prior(self) -> dist.Distribution:
        """Standard normals behind the hierarchical prior."""
        return self.prior.distribution(self.lower)

    def weight_posterior(self) -> dist.Distribution:
        """Low-rank Gaussian over the same numbers."""
        return self.posterior.distribution()

    def weights(self, w: Tensor) -> Weights:
        """``transition``, the numbers of the transition (..., number)."""
        return {"transition": self._adapted.numbers(self.prior.changes(w))}

    def described(self, w: Tensor) -> Weights:
        """What draws of ``w`` (..., number) stand for.

        ``scale``, τ, and ``change``, the root mean square of relative changes, are by kernel or bias.
        """
        blocks = self.prior.changes(w).split(self.prior.sizes, dim=-1)
        change = torch.stack([block.square().mean(-1).sqrt() for block in blocks], dim=-1)
        return {"scale": self.prior.scales(w), "change": change}

    def step(self, z: Tensor, u: Tensor, context: Tensor, weights: Weights) -> Normal:
        """Distribution of the next tokens (..., channel, y, x) under the given weights."""
        numbers = weights["transition"]
        leading = torch.broadcast_shapes(z.shape[:-3], numbers.shape[:-1])
        draws = numbers.reshape(-1, numbers.shape[-1])
        if len(draws) > 1 and (leading[0] != len(draws) or len(draws) != numbers.shape[-len(leading) - 1 :][0]):
            raise ValueError(
                f"weights: expected one of every draw, the first of the axes {tuple(leading)}, got {tuple(numbers.shape[:-1])}"
            )
        _, flat, (u_flat, c_flat) = merge_leading(z.expand(*leading, *z.shape[-3:]), u.flatten(-3), context)
        inputs = (flat, u_flat.unflatten(1, u.shape[-3:]), c_flat)
        each = zip(*(part.split(len(flat) // len(draws)) for part in inputs), strict=True)
        found = [
            functional_call(self.transition, self._adapted.parameters_from(row), parts) for row, parts in zip(draws, each, strict=True)
        ]
        drift, scale = (torch.cat(part) for part in zip(*found, strict=True))
        return self.moved(flat, drift, scale, leading, weights)

    def save(self, path: str | Path) -> None:
        """Write everything, the micro networks included, to one file, whole or not at all."""
        save_model(path, self, {"meso": self.config.model_dump(mode="json"), "population": list(self.population or ())})

    @classmethod
    def load(cls, path: str | Path) -> MesoTokens:
        """Read a model written by :meth:`save`.

        Raises
        ------
        ValueError
            If the file is missing, damaged or holds another kind of model.
        """

        def build(file: ModelFile) -> MesoTokens:
            micro = MicroTokens(TokenConfig.model_validate(file.settings["tokens"]), file.normalizer, file.grid)
            return cls(micro, MesoConfig.model_validate(file.settings["meso"]), *file.settings["population"])

        return load_model(path, cls, build)


class _Adapted:
    """The numbers of a network in one row: those that tell means, then those that tell spread.

    A change of one is in units of the root mean square of the kernel or bias that it belongs to, or, where that is zero, of a tenth of what
    a fresh layer would have.
    """

    def __init__(self, network: nn.Module, spread: Collection[nn.Parameter]) -> None:
        telling_spread = {id(parameter) for parameter in spread}
        self._named = sorted(network.named_parameters(), key=lambda one: id(one[1]) in telling_spread)
        self.names = [name for name, _ in self._named]
        self.sizes = [parameter.numel() for _, parameter in self._named]
        self.n_spread = sum(parameter.numel() for _, parameter in self._named if id(parameter) in telling_spread)

    def numbers(self, changes: Tensor) -> Tensor:
        """Numbers (..., number) with relative changes of the same shape."""
        own = torch.cat([_row(parameter) for _, parameter in self._named])
        unit = torch.cat([_unit(parameter).expand(parameter.numel()) for _, parameter in self._named])
        return own + unit * changes

    def parameters_from(self, numbers: Tensor) -> dict[str, Tensor]:
        """Parameters of the network by name, of numbers (number,)."""
        parts = zip(self._named, numbers.split(self.sizes), strict=True)
        return {name: _from_row(part, parameter) for (name, parameter), part in parts}


def _row(parameter: Tensor) -> Tensor:
    """Numbers of a kernel or bias one after the other; of (out, in, y, x) in the order that convolutions of a CPU are fastest with."""
    return (parameter.permute(0, 2, 3, 1) if parameter.ndim == 4 else parameter).flatten()


def _from_row(row: Tensor, parameter: Tensor) -> Tensor:
    if parameter.ndim != 4:
        return row.view_as(parameter)
    n_out, n_in, ny, nx = parameter.shape
    return row.view(n_out, ny, nx, n_in).permute(0, 3, 1, 2)


def _unit(parameter: Tensor) -> Tensor:
    """What a change of a kernel or bias is measured in."""
    own = parameter.detach().square().mean().sqrt()
    return own if own > 0 else own + _SILENT / math.sqrt(max(1, parameter[0].numel()))
