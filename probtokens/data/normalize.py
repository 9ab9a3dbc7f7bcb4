"""Standardised fields and context, fitted on training trajectories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from probtokens.data.moments import Moments
from probtokens.data.support import MARGIN, Range, Support
from probtokens.data.trajectories import TrajectorySet, require_trajectories
from probtokens.fields import KNOWN_SCALARS, FieldSpec

#: Spread below this part of the mean is round-off of single precision: the quantity is constant.
_CONSTANT_RTOL = 1e-6

#: Values closer to the end of a range than this part of them are at it: sums in single precision differ by so much.
_ROUNDING = 1e-5


class Normalizer(nn.Module):
    """Shift and scale of every field and context scalar; buffers, so that they travel with a model.

    Untouched it is the identity. By convention it is fitted on the training split only.

    Attributes
    ----------
    field_mean, field_scale
        Physical units, shape (field,).
    field_std, field_range
        Standard deviation (field,), and least and most (2, field), of the training data; NaN where they are not known.
    context_mean, context_scale
        Physical units, shape (context,).
    context_range
        Least and most of the training data, shape (2, context).
    context_units
        Unit of every scalar, ``""`` where none is known.

    Examples
    --------
    >>> frames = 300.0 + np.arange(2 * 3 * 16, dtype=float).reshape(2, 3, 1, 4, 4)
    >>> data = TrajectorySet.from_arrays(frames, {"temperature": "K"}, spacing=0.04, time_step=0.02)
    >>> Normalizer.fit(data).field_mean
    tensor([347.5000])
    """

    field_mean: Tensor
    field_scale: Tensor
    field_std: Tensor
    field_range: Tensor
    context_mean: Tensor
    context_scale: Tensor
    context_range: Tensor

    def __init__(self, fields: tuple[FieldSpec, ...], context_names: tuple[str, ...], context_units: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.context_units = tuple(KNOWN_SCALARS.get(name, "") for name in context_names) if context_units is None else context_units
        self.fields = tuple(fields)
        self.context_names = tuple(context_names)
        self.register_buffer("field_mean", torch.zeros(len(self.fields), dtype=torch.float32))
        self.register_buffer("field_scale", torch.ones(len(self.fields), dtype=torch.float32))
        self.register_buffer("field_std", torch.full((len(self.fields),), torch.nan, dtype=torch.float32))
        self.register_buffer("field_range", torch.full((2, len(self.fields)), torch.nan, dtype=torch.float32))
        self.register_buffer("context_mean", torch.zeros(len(self.context_names), dtype=torch.float32))
        self.register_buffer("context_scale", torch.ones(len(self.context_names), dtype=torch.float32))
        self.register_buffer("context_range", torch.full((2, len(self.context_names)), torch.nan, dtype=torch.float32))

    @classmethod
    def fit(cls, trajectories: TrajectorySet) -> Normalizer:
        """Mean and standard deviation over all simulations, times and cells, in one pass.

        Components of one vector share the largest of their scales, and a field with two bounds has at
        least a quarter of its range: how rarely a field departs from its rest must not decide how much
        a departure weighs. A field or scalar that is constant up to single-precision round-off gets scale 1.

        Raises
        ------
        ValueError
            If there is no trajectory.
        """
        require_trajectories(trajectories, "trajectories")
        if len(trajectories) == 0:
            raise ValueError("normalizer: expected at least one trajectory, got none")
        moments = Moments(len(trajectories.fields))
        for i in range(len(trajectories)):
            moments.update(trajectories.whole(i))
        context = trajectories.context.astype(np.float64)
        normalizer = cls(trajectories.fields, trajectories.context_names, trajectories.context_units)
        normalizer.field_mean.copy_(torch.from_numpy(moments.mean))
        normalizer.field_scale.copy_(_balanced(trajectories.fields, _scale(moments.mean, moments.std)))
        normalizer.field_std.copy_(torch.from_numpy(moments.std))
        normalizer.field_range.copy_(torch.from_numpy(np.stack([moments.least, moments.most])))
        normalizer.context_mean.copy_(torch.from_numpy(context.mean(axis=0)))
        normalizer.context_scale.copy_(_scale(context.mean(axis=0), context.std(axis=0)))
        normalizer.context_range.copy_(torch.from_numpy(np.stack([context.min(axis=0), context.max(axis=0)])))
        return normalizer

    def normalize(self, frames: Tensor) -> Tensor:
        """Physical to standardised frames, shape (…, field, y, x).

        Raises
        ------
        ValueError
            If the field axis, third from the right, has not one entry per field.
        """
        self._check(frames, -3, [spec.name for spec in self.fields])
        return (frames - self.field_mean[:, None, None]) / self.field_scale[:, None, None]

    def denormalize(self, frames: Tensor) -> Tensor:
        """Inverse of :meth:`normalize`."""
        self._check(frames, -3, [spec.name for spec in self.fields])
        return frames * self.field_scale[:, None, None] + self.field_mean[:, None, None]

    def normalize_context(self, context: Tensor) -> Tensor:
        """Physical to standardised context, shape (…, context).

        Raises
        ------
        ValueError
            If the last axis has not one entry per scalar.
        """
        self._check(context, -1, self.context_names)
        return (context - self.context_mean) / self.context_scale

    def seen(self, mirrored: bool) -> Tensor:
        """Least and most of the training data (2, field), of its mirror images along y too if ``mirrored``; NaN where not known."""
        least, most = self.field_range
        odd = torch.tensor([mirrored and spec.mirror_sign("y") < 0 for spec in self.fields], device=least.device)
        size = torch.maximum(-least, most)
        return torch.stack([torch.where(odd, -size, least), torch.where(odd, size, most)])

    def support(self, *, mirrored: bool = False) -> Support:
        """What a model with this normaliser was trained on, on mirror images along y too if ``mirrored``.

        A field or scalar that varied less than a standard unit may leave its range by a tenth of that unit.
        """

        def ranges(names: Sequence[str], units: Sequence[str], ends: Tensor, scale: Tensor) -> tuple[Range, ...]:
            margin = MARGIN * torch.maximum(ends[1] - ends[0], scale) + _ROUNDING * ends.abs().amax(0)
            return tuple(map(Range, names, units, *ends.tolist(), margin.tolist()))

        fields = ranges([spec.name for spec in self.fields], [spec.unit for spec in self.fields], self.seen(mirrored), self.field_scale)
        return Support(fields, ranges(self.context_names, self.context_units, self.context_range, self.context_scale))

    @staticmethod
    def _check(values: Tensor, axis: int, names: Sequence[str]) -> None:
        if values.ndim < -axis or values.shape[axis] != len(names):
            raise ValueError(f"normalizer: expected {list(names)} along axis {axis}, got shape {tuple(values.shape)}")


def mirror_image(frames: Tensor, fields: Sequence[FieldSpec]) -> Tensor:
    """Frames in physical units (…, field, y, x) turned over along y; fields that are odd along y change their sign."""
    sign = torch.tensor([spec.mirror_sign("y") for spec in fields], dtype=frames.dtype, device=frames.device)
    return frames.flip(-2) * sign[:, None, None]


def _scale(mean: np.ndarray, std: np.ndarray) -> Tensor:
    return torch.from_numpy(np.where(std > _CONSTANT_RTOL * np.abs(mean), std, 1.0))


def _balanced(fields: Sequence[FieldSpec], scale: Tensor) -> Tensor:
    """Scales with the physics of fields in mind; see :meth:`Normalizer.fit`."""
    balanced = scale.clone()
    for number, spec in enumerate(fields):
        together = [other for other, one in enumerate(fields) if other == number or (spec.vector and one.vector == spec.vector)]
        balanced[number] = scale[together].max()
        if spec.lower is not None and spec.upper is not None:
            balanced[number] = max(float(balanced[number]), 0.25 * (spec.upper - spec.lower))
    return balanced
