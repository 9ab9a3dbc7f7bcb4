"""Meso tokens: micro tokens on a larger lattice, corrected by a hierarchical coupling learned from few simulations."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from probtokens.config import MesoConfig, StageConfig, TokenConfig
from probtokens.models.checkpoint import load_checkpoint, restore_data_description, save_checkpoint
from probtokens.models.micro import MicroTokens
from probtokens.models.priors import CouplingPosterior, CouplingPrior
from probtokens.models.state_space import Belief, Weights, local_parameters
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.coupling import NEIGHBOURS, LowRankAdapters, NeighbourCoupling
from probtokens.nn.lattice import merge_leading
from probtokens.nn.process import Transition
from probtokens.nn.transition import TokenTransition

#: Copies of micro networks that stay as they are unless ``fine_tune`` is set.
_FROZEN = ("autoencoder.", "dynamics.transition.")


class CoupledDynamics(nn.Module):
    """z_t with mean z_t−1 + f_θ+ΔW(z_t−1, u, c) + g_ψ(z_t−1, m_t−1) and the micro transition's noise: ΔW, g and a factor on it learned."""

    def __init__(self, transition: TokenTransition, channels: list[int], config: MesoConfig) -> None:
        super().__init__()
        self.transition = transition
        self.channels = channels
        self.adapters = LowRankAdapters(transition.adapter_widths, config.adapter_rank)
        self.coupling = NeighbourCoupling(channels, config.coupling_width)
        self.noise_log_factor = nn.Parameter(torch.zeros(len(channels)))

    def forward(self, belief: Belief, u: Tensor, context: Tensor, weights: Weights) -> Transition:
        """Distribution of the next tokens (..., channel, y, x) under the given weights."""
        leading, z, vectors = merge_leading(belief.z, u.flatten(-3), context, weights["strengths"], weights["coupling"])
        u_flat, c_flat, strengths, directions = vectors
        effects = u_flat.unflatten(1, u.shape[-3:])
        drift, scale, loading = self.transition.parts(z, effects, c_flat, self.adapters.bind(strengths))
        mean, log_scale = (part.expand(*leading, *z.shape[1:]).reshape(z.shape) for part in (belief.mean, belief.log_scale))
        drift = drift + self.coupling(z, mean, log_scale, directions.unflatten(1, (len(self.channels), -1)))
        factor = torch.repeat_interleave(self.noise_log_factor.exp(), torch.tensor(self.channels, device=z.device))[:, None, None]
        loading = loading if loading is None else loading * factor
        return Transition(z + drift, scale * factor, loading, self.transition.noise_patch).unflattened(leading)


class MesoTokens(TokenForecaster):
    """Micro tokens on a larger lattice with learned coupling between neighbours.

    Learned are: low-rank adapters (A, B, point estimates), their horseshoe strengths and the partially
    pooled directional coupling (joint low-rank Gaussian posterior), the message networks, the amortized
    effect of each simulation, one factor on each noise scale and, with ``config.fine_tune``, copies of
    the micro encoder, decoder and transition. Frozen copies leave the micro building block untouched.

    Parameters
    ----------
    micro
        Trained micro tokens; copied, never changed.
    config
        Coupling, priors and schedule.
    n_simulations
        Meso simulations trained on.
    n_times
        Frames of each; with ``n_simulations`` it weighs the data against the priors of the weights.
    """

    def __init__(self, micro: MicroTokens, config: MesoConfig, n_simulations: int, n_times: int) -> None:
        super().__init__(micro.tokens, copy.deepcopy(micro.normalizer), micro.grid)
        self.config = config
        self.population = (n_simulations, n_times)
        channels = [group.channels for group in self.tokens.groups]
        # Copied together: the transition's transport uses the autoencoder's linear maps.
        self.autoencoder, transition = copy.deepcopy((micro.autoencoder, micro.transition))
        self.dynamics = CoupledDynamics(transition, channels, config)
        self.trajectory_encoder, self.smoother = copy.deepcopy((micro.trajectory_encoder, micro.smoother))
        self.shrinkage = copy.deepcopy(micro.shrinkage)
        n_strengths = self.dynamics.adapters.n_strengths
        with local_parameters():
            self.prior = CouplingPrior(n_strengths, len(channels), len(NEIGHBOURS), config.global_scale, config.slab_scale)
            self.posterior = CouplingPosterior(self.prior, config.guide_rank)
        self._pair(self.prior, self.posterior)
        self.sample_weights(1)  # the posterior makes its parameters at its first call
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(self.may_learn(name))

    def begin_stage(self, stage: StageConfig) -> None:
        """The weight posterior learns from the ELBO alone: a score would shrink or stretch it to taste."""
        super().begin_stage(stage)
        if stage.objective != "elbo":
            self.posterior.requires_grad_(False)
            self.trajectory_encoder.requires_grad_(False)
            self.smoother.requires_grad_(False)
        n_simulations, n_times = self.population
        self.scales = replace(
            self.scales,
            simulations=max(n_simulations, 1) / stage.batch_size,
            frames=n_times / (stage.horizon + 1),
        )

    def may_learn(self, name: str) -> bool:
        """Frozen copies of the micro networks keep what they know; how sure they are is learned anew."""
        return self.config.fine_tune or not name.startswith(_FROZEN) or name == "autoencoder.pixel_raw_scale"

    def sample_weights(self, n_draws: int) -> Weights:
        """Draws of strengths and coupling weights from their posterior, leading dimensions (draw, 1)."""
        with local_parameters():
            draws = [self.posterior() for _ in range(n_draws)]
        return {name: torch.stack([draw[name] for draw in draws])[:, None] for name in draws[0]}

    def central_weights(self) -> Weights:
        """Weights at the posterior's location."""
        return {name: value[None, None] for name, value in self.posterior.centre().items()}

    def save(self, path: str | Path) -> None:
        """Write everything, the micro networks included, to one file, whole or not at all."""
        extra = {"meso": self.config.model_dump(mode="json"), "population": list(self.population)}
        save_checkpoint(path, "meso", self, extra)

    @classmethod
    def load(cls, path: str | Path) -> MesoTokens:
        """Read a model written by :meth:`save`.

        Raises
        ------
        ValueError
            If the file is missing, damaged or holds another kind of model.
        """
        content = load_checkpoint(path, "meso")
        normalizer, grid = restore_data_description(content)
        micro = MicroTokens(TokenConfig.model_validate(content["tokens"]), normalizer, grid)
        model = cls(micro, MesoConfig.model_validate(content["meso"]), *content["population"])
        model.load_state_dict(content["state"])
        return model.eval()
