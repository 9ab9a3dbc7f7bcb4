"""HLLC fluxes for the five-equation two-phase model."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from probtokens.simulate.mixture import Primitive, State


class _Side(NamedTuple):
    """What HLLC needs of one side: normal and transverse velocity, density, energy, pressure."""

    normal: Tensor
    density: Tensor
    energy: Tensor
    pressure: Tensor


def _side(face: Primitive, dim: int) -> _Side:
    density = (1.0 - face.gas) * face.solid_density + face.gas * face.gas_density
    energy = face.internal + 0.5 * density * (face.velocity_x**2 + face.velocity_y**2)
    return _Side(face.velocity_x if dim == -1 else face.velocity_y, density, energy, face.pressure)


def hllc(left: Primitive, right: Primitive, left_speed: Tensor, right_speed: Tensor, dim: int) -> tuple[State, Tensor]:
    """Fluxes of :class:`State` through faces normal to ``dim``, and the face's normal velocity.

    Toro, Spruce & Speares (1994) with Davis's wave speeds; the velocity is the one that carries mass
    through the face (Johnsen & Colonius, J. Comput. Phys. 219, 715 (2006)), so volume fraction and
    masses move together and an isolated interface keeps p and u uniform.

    Parameters
    ----------
    left, right
        States on either side of each face.
    left_speed, right_speed
        Sound speeds of the adjacent cells [km/s].
    dim
        −1 for faces normal to x, −2 for y.
    """
    one, two = _side(left, dim), _side(right, dim)
    slowest = torch.minimum(one.normal - left_speed, two.normal - right_speed)
    fastest = torch.maximum(one.normal + left_speed, two.normal + right_speed)
    left_weight = one.density * (slowest - one.normal)
    right_weight = two.density * (fastest - two.normal)
    star = (two.pressure - one.pressure + left_weight * one.normal - right_weight * two.normal) / (left_weight - right_weight)
    upwind_left = star >= 0.0
    face = Primitive(*(torch.where(upwind_left, a, b) for a, b in zip(left, right, strict=True)))
    side = _Side(*(torch.where(upwind_left, a, b) for a, b in zip(one, two, strict=True)))
    wave = torch.where(upwind_left, slowest, fastest)
    active = torch.where(upwind_left, slowest.clamp_max(0.0), fastest.clamp_min(0.0))

    stretch = (wave - side.normal) / (wave - star)
    velocity = side.normal + active * (stretch - 1.0)
    # Momentum: ρu² + p + s(ρ*u* − ρu), written with the mass flux ρ·velocity.
    mass = side.density * velocity
    push = side.pressure + active * stretch * side.density * (star - side.normal)
    star_energy = stretch * (side.energy + (star - side.normal) * (side.density * star + side.pressure / (wave - side.normal)))
    energy = (side.energy + side.pressure) * side.normal + active * (star_energy - side.energy)
    normal_flux = mass * side.normal + push
    transverse_flux = mass * (face.velocity_y if dim == -1 else face.velocity_x)
    solid_flux = (1.0 - face.gas) * face.solid_density * velocity
    flux = State(
        gas=face.gas * velocity,
        solid_mass=solid_flux,
        gas_mass=face.gas * face.gas_density * velocity,
        momentum_x=normal_flux if dim == -1 else transverse_flux,
        momentum_y=transverse_flux if dim == -1 else normal_flux,
        energy=energy,
        species_a=solid_flux * face.fraction_a,
        species_b=solid_flux * face.fraction_b,
        species_c=solid_flux * face.fraction_c,
    )
    return flux, velocity
