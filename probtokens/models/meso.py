"""Meso tokens: micro tokens on a larger lattice, corrected by a hierarchical coupling learned from few simulations."""

from __future__ import annotations

import copy
from pathlib import Path

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.config import MesoConfig, TokenConfig
from probtokens.data.trajectories import TrajectorySet
from probtokens.models.files import ModelFile, load_model, save_model
from probtokens.models.micro import MicroTokens
from probtokens.models.priors import WeightPosterior, WeightPrior
from probtokens.models.state_space import State, Weights
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.coupling import NEIGHBOURS, LowRankAdapters, NeighbourCoupling
from probtokens.nn.lattice import merge_leading


class MesoTokens(TokenForecaster):
    """Micro tokens on a larger lattice with learned coupling between neighbours.

    A step is z_t ~ Normal(z_t−1 + f_θ+ΔW(z_t−1, u, c) + g_ψ(z_t−1, m_t−1), ς σ): the micro transition f with adapters ΔW, messages m of
    what the program itself knew of the neighbours' tokens, and one factor ς on the noise of each field group.

    Learned are: low-rank adapters (A, B, point estimates), their horseshoe strengths and the partially
    pooled directional coupling (joint low-rank Gaussian posterior), the message networks, the amortized
    effect of each simulation, the factors on the noise and, with ``config.fine_tune``, copies of
    the micro encoder, decoder and transition. Frozen copies leave the micro building block untouched.

    Parameters
    ----------
    micro
        Trained micro tokens; copied, never changed.
    config
        Coupling, priors and schedule.
    n_simulations
        Meso simulations trained on; with 0 a batch of windows stands for itself, as for evidence of held-out simulations.
    n_times
        Frames of each; with ``n_simulations`` it weighs the data against the priors of the weights.

    Examples
    --------
    >>> from probtokens.verify.token_pairs import MESO, micro_tokens
    >>> MesoTokens(micro_tokens(), MESO, n_simulations=4, n_times=21).weight_prior().event_shape
    torch.Size([...])
    """

    def __init__(self, micro: MicroTokens, config: MesoConfig, n_simulations: int = 0, n_times: int = 0) -> None:
        super().__init__(micro.tokens, copy.deepcopy(micro.normalizer), micro.grid)
        self.config = config
        self.population = (n_simulations, n_times) if n_simulations else None
        channels = [group.channels for group in self.tokens.groups]
        self.autoencoder, self.transition = copy.deepcopy(micro.autoencoder), copy.deepcopy(micro.transition)
        self.trajectory_encoder, self.smoother = copy.deepcopy(micro.trajectory_encoder), copy.deepcopy(micro.smoother)
        self.token_evidence = copy.deepcopy(micro.token_evidence)
        self.adapters = LowRankAdapters(self.transition.adapter_widths, config.adapter_rank)
        self.coupling = NeighbourCoupling(channels, config.coupling_width)
        self.noise_log_factor = nn.Parameter(torch.zeros(len(channels)))
        self.prior = WeightPrior(self.adapters.n_strengths, len(channels), len(NEIGHBOURS), config.global_scale, config.slab_scale)
        self.posterior = WeightPosterior(self.prior.size, config.guide_rank)
        self.float().requires_grad_(False)  # whatever torch's default is
        for parameters in self.parameter_groups().values():
            for parameter in parameters:
                parameter.requires_grad_(True)

    @classmethod
    def untrained(cls, micro: MicroTokens, trajectories: TrajectorySet, config: MesoConfig | None = None) -> MesoTokens:
        """Meso tokens that have learned nothing yet, for training on these simulations; see the class."""
        return cls(micro, config or MesoConfig(), len(trajectories), trajectories.grid.n_times)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """As those of micro tokens; adapters and messages tell means, and ``weights`` is the posterior of the weights' site.

        Without ``fine_tune`` copies of the micro networks are in no group.
        """
        groups = super().parameter_groups()
        if not self.config.fine_tune:
            groups = {"dynamics": [], "noise": [self.autoencoder.pixel_raw_scale], "guide": groups["guide"]}
        coupling = [*self.adapters.parameters(), *self.coupling.parameters()]
        return groups | {
            "dynamics": [*groups["dynamics"], *coupling],
            "noise": [*groups["noise"], self.noise_log_factor],
            "weights": list(self.posterior.parameters()),
        }

    def weight_prior(self) -> dist.Distribution:
        """Standard normals behind the hierarchical prior."""
        return self.prior.distribution(self.noise_log_factor)

    def weight_posterior(self) -> dist.Distribution:
        """Low-rank Gaussian over the same numbers."""
        return self.posterior.distribution()

    def weights(self, w: Tensor) -> Weights:
        """``strengths`` of the adapters and ``coupling`` of the messages."""
        return self.prior.weights(w)

    def step(self, state: State, u: Tensor, context: Tensor, weights: Weights) -> Normal:
        """Distribution of the next tokens (..., channel, y, x) under the given weights."""
        leading, z, vectors = merge_leading(state.z, u.flatten(-3), context, weights["strengths"], weights["coupling"])
        u_flat, c_flat, strengths, directions = vectors
        effects = u_flat.unflatten(1, u.shape[-3:])
        drift, scale = self.transition.parts(z, effects, c_flat, self.adapters.bind(strengths))
        heard = (state.source.mean, state.source.stddev.log())
        mean, log_scale = (part.expand(*leading, *z.shape[1:]).reshape(z.shape) for part in heard)
        channels = self.coupling.channels
        drift = drift + self.coupling(z, mean, log_scale, directions.unflatten(1, (len(channels), -1)))
        factor = torch.repeat_interleave(self.noise_log_factor.exp(), torch.tensor(channels, device=z.device))[:, None, None]
        return self.moved(z, drift, scale * factor, leading)

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
