"""PARC: physics-aware recurrent convolutions, the deterministic surrogate of this field.

One frame follows from the last by a numerical integrator of

    dX/dt = (R(h, e) + a(h, e) e_adv + b(h, e) e_dif) / Δt,   e_adv = L(−Δt u·∇X),  e_dif = L(dx² ∇²X)

with features h of a U-Net on the whole state and the context, explicit terms e of every field, and
reaction R and coefficients a, b read from h modulated by e. Networks work on normalised fields; u, dx
and Δt are physical. Every step starts from a state clipped to the range of the training data, as in
the original.

What differs from the original. Two changes lowered the validation error at equal training time:
4 × 4 cells are folded into channels before the networks, and the explicit terms enter the
tendency directly as well as by modulation. L(e) = c tanh(e / c) limits the explicit terms: material
crosses several cells in a frame, and without a limit the advection of velocity by itself ran away in
long rollouts. The data-driven integrator is left out, as it is optional there. Where the data have no
velocity, one is learned.

Sources: Nguyen et al., PARC, Science Advances 9 (2023), eadd6868; Nguyen et al., PARCv2, ICML 2024.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from probtokens.baselines.integrators import INTEGRATORS
from probtokens.baselines.learned import Learned
from probtokens.baselines.parc_network import FeatureExtractor, Reconstruction, fold, unfold
from probtokens.baselines.parc_operators import advection, diffusion
from probtokens.config import ParcConfig
from probtokens.data.normalize import Normalizer
from probtokens.data.trajectories import TrajectorySet
from probtokens.fields import VELOCITY, Grid
from probtokens.nn.edges import wrap

#: Limit c of an explicit term, in standard deviations of the field a frame.
_LIMIT = 3.0


class Parc(Learned):
    """Deterministic recurrent surrogate with explicit advection and diffusion.

    Parameters
    ----------
    config
        Width, levels and integrator.
    normalizer
        Fitted normalisation; it carries the fields and the context.
    grid
        Grid of the training data: cell edge and frame step enter the operators.
    mirrored
        Whether it is trained on mirror images along y as well: fields that are odd then reach the negative of their range.

    Raises
    ------
    ValueError
        If the data have one velocity component without the other, or the coarsest level does not divide a periodic axis.

    Examples
    --------
    >>> from probtokens import Trajectories, rollout
    >>> from probtokens.verify.token_pairs import FIELDS, window
    >>> frames, context = window()
    >>> data = Trajectories.from_arrays(frames, FIELDS, spacing=0.04, time_step=0.125, context={"shock_pressure": context[:, 0]})
    >>> rollout(Parc.untrained(data, ParcConfig(width=8)), data).shape
    (1, 2, 3, 5, 16, 24)
    """

    name = "parc"
    #: Edge of the blocks of cells that the networks see as one [cells].
    block = 4
    #: A forecast has one member, whatever is asked.
    deterministic = True

    def __init__(self, config: ParcConfig, normalizer: Normalizer, grid: Grid, *, mirrored: bool = True) -> None:
        super().__init__(normalizer, grid, mirrored=mirrored)
        self._integrate = INTEGRATORS[config.integrator]
        names = [spec.name for spec in self.fields]
        present = [name for name in VELOCITY if name in names]
        if len(present) == 1:
            raise ValueError(f"fields: expected both of {list(VELOCITY)} or none, got {names}")
        self._velocity_channels = [names.index(name) for name in present]
        #: From the unit of the velocity to lengths and times of the grid.
        self._speed = grid.speed(1.0, self.fields[self._velocity_channels[0]].unit) if present else 1.0
        n_fields = len(names)
        self.features = FeatureExtractor(n_fields * self.block**2 + len(normalizer.context_names), config.width, config.levels)
        self.velocity = None if present else nn.Conv2d(config.width, 2 * self.block**2, 1)
        self.reconstruction = Reconstruction(2 * n_fields * self.block**2, 3 * n_fields * self.block**2, config.width)
        wrap(self, grid.periodic)
        self.require_extent(grid)
        self.float()  # whatever torch's default is

    @classmethod
    def untrained(cls, trajectories: TrajectorySet, config: ParcConfig | None = None, *, mirrored: bool = True) -> Parc:
        """PARC that knows the training data's normalisation and grid alone; see the class."""
        return cls(config or ParcConfig(), Normalizer.fit(trajectories), trajectories.grid, mirrored=mirrored)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters, as ``dynamics``."""
        return {"dynamics": list(self.parameters())}

    def hidden_kernels(self) -> list[nn.Parameter]:
        """Kernels of the levels and of the read-out between its first and last layers."""
        features = self.features
        inner = [*features.down, *features.reduce, *features.up, self.reconstruction.residual]
        return [kernel for part in inner for kernel in part.parameters() if kernel.ndim == 4 and kernel.shape[1] > 1]

    def mean_frames(self, x0: Tensor, context: Tensor, leads: Collection[int]) -> Iterator[Tensor]:
        """Frames of the rollout at some leads, standard units; see :class:`~probtokens.models.base.Trainable`."""
        state = self.normalizer.normalize(x0)
        frames = self._roll(state, self.normalizer.normalize_context(context), max(leads))
        yield from (frame for lead, frame in enumerate(chain((state,), frames)) if lead in leads)

    def tendency(self, state: Tensor, context: Tensor) -> Tensor:
        """Time derivative of normalised fields, shape (batch, field, y, x), per unit of time; none of constant ones.

        ``context`` is standardised, shape (batch, context).
        """
        spacing, time_step, periodic = self.grid.spacing, self.grid.time_step, self.grid.periodic
        blocks = fold(state, self.block)
        maps = context[:, :, None, None].expand(-1, -1, *blocks.shape[-2:])
        features = self.features(torch.cat((blocks, maps), dim=1).contiguous(memory_format=torch.channels_last))
        advected = _limited(time_step * advection(state, self._velocity(state, features), spacing, periodic))
        diffused = _limited(spacing**2 * diffusion(state, spacing, periodic))
        read_out = self.reconstruction(features, fold(torch.cat((advected, diffused), dim=1), self.block))
        change = self.change(unfold(read_out, self.block, *state.shape[-2:]), advected, diffused)
        return (change / time_step).masked_fill(self.constant, 0.0)

    def change(self, read_out: Tensor, advected: Tensor, diffused: Tensor) -> Tensor:
        """Change of normalised fields in a frame, from a read-out (batch, 3 · field, y, x) and the explicit terms."""
        reaction, gain, diffusivity = read_out.chunk(3, dim=1)
        return reaction + gain * advected + diffusivity * diffused

    def _velocity(self, state: Tensor, features: Tensor) -> Tensor:
        """Velocity along (x, y), shape (batch, 2, y, x), in the grid's units: a field, or learned where the data have none."""
        if self.velocity is not None:
            cells_per_frame = unfold(self.velocity(features), self.block, *state.shape[-2:])
            return cells_per_frame * (self.grid.spacing / self.grid.time_step)
        return self._speed * self.normalizer.denormalize(state)[:, self._velocity_channels]

    def require_extent(self, grid: Grid) -> None:
        """Refuse periodic axes that the coarsest level would not divide: padded ones do not wrap."""
        whole = self.block * self.features.multiple
        sizes = {axis: size for axis, size in zip("yx", grid.shape, strict=True) if axis in grid.periodic}
        if any(size % whole for size in sizes.values()):
            raise ValueError(f"{self.name}: expected multiples of {whole} cells along periodic axes, got {sizes}")

    def _roll(self, state: Tensor, context: Tensor, n_steps: int) -> Iterator[Tensor]:
        """Yield normalised frames; every step starts within the range of the training data, where it is known, or the fields' bounds."""
        least, most = self.normalizer.seen(self.mirrored)[..., None, None]
        lower = self.normalizer.normalize(torch.where(least.isnan(), self.lower, least))
        upper = self.normalizer.normalize(torch.where(most.isnan(), self.upper, most))
        for _ in range(n_steps):
            state = self._integrate(lambda x: self.tendency(x, context), state.clamp(lower, upper), self.grid.time_step)
            yield state

    @torch.no_grad()
    def frames(self, initial: Tensor, context: Tensor, n_steps: int, n_draws: int, seed: int) -> Iterator[Tensor]:
        """Its single member."""
        state = self.normalizer.normalize(initial)
        for frame in self._roll(state, self.normalizer.normalize_context(context), n_steps):
            yield self.within(self.normalizer.denormalize(frame), initial)[None]


def _limited(term: Tensor) -> Tensor:
    """Explicit term, smoothly limited to ±``_LIMIT``."""
    return _LIMIT * torch.tanh(term / _LIMIT)
