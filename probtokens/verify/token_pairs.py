"""Small token models with random weights, to check what must hold for any weights."""

from __future__ import annotations

import torch

from probtokens.config import FieldGroupConfig, MesoConfig, TokenConfig
from probtokens.data.normalize import Normalizer
from probtokens.fields import Grid, field_spec
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens

FIELDS = tuple(map(field_spec, ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")))
GRID = Grid(ny=16, nx=24, spacing=0.04, time_step=0.125, n_times=5)
MEAN = torch.tensor([700.0, 6.0, 0.9, 0.6, 0.0])
SCALE = torch.tensor([400.0, 5.0, 0.2, 0.7, 0.2])
TOKENS = TokenConfig(
    patch=8,
    groups=(
        FieldGroupConfig(fields=("temperature", "solid_fraction"), channels=3),
        FieldGroupConfig(fields=("pressure",), channels=2),
        FieldGroupConfig(fields=("velocity_x", "velocity_y"), channels=2),
    ),
    width=12,
    group_width=8,
    encoder_blocks=1,
    decoder_blocks=1,
    transition_blocks=1,
    trajectory_dim=3,
)
MESO = MesoConfig(guide_rank=3)


def normalizer() -> Normalizer:
    """Normaliser of the five fields, with round numbers."""
    made = Normalizer(FIELDS, ("shock_pressure",))
    made.field_mean.copy_(MEAN)
    made.field_scale.copy_(SCALE)
    made.field_std.copy_(SCALE)
    made.field_range.copy_(_within_bounds(MEAN + 5.0 * SCALE * torch.tensor([[-1.0], [1.0]])))
    made.context_range.copy_(torch.tensor([[12.0], [18.0]]))
    made.context_mean.fill_(15.0)
    made.context_scale.fill_(1.5)
    return made


def micro_tokens(seed: int = 0, **changes: object) -> MicroTokens:
    """Micro tokens with random weights everywhere, those that start at zero included."""
    torch.manual_seed(seed)
    model = MicroTokens(TOKENS.model_copy(update=changes), normalizer(), GRID)
    randomise(model)
    return model


def meso_tokens(seed: int = 0) -> MesoTokens:
    """Meso tokens of :func:`micro_tokens`, changed at random."""
    model = MesoTokens(micro_tokens(seed), MESO, n_simulations=3, n_times=GRID.n_times)
    randomise(model.posterior)
    return model


def randomise(module: torch.nn.Module) -> None:
    """Add a little noise to all weights."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def window(n_simulations: int = 2, n_times: int = 4, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (simulation, time, field, y, x), within bounds, and context (simulation, 1), physical units."""
    generator = torch.Generator().manual_seed(seed)
    standard = torch.randn(n_simulations, n_times, len(FIELDS), *GRID.shape, generator=generator, dtype=torch.float32)
    frames = normalizer().denormalize(standard)
    frames = _within_bounds(frames.movedim(2, -1)).movedim(-1, 2).contiguous()
    return frames, 15.0 + torch.linspace(-1.5, 1.5, n_simulations, dtype=torch.float32)[:, None]


def _within_bounds(values: torch.Tensor) -> torch.Tensor:
    """Values (..., field) clamped to the fields' bounds."""
    lower = torch.tensor([-torch.inf if spec.lower is None else spec.lower for spec in FIELDS])
    upper = torch.tensor([torch.inf if spec.upper is None else spec.upper for spec in FIELDS])
    return values.clamp(lower, upper)
