"""Time marching: compiled or eager steps, a step count per frame that lands on frame times."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from probtokens.precision import tell_kernels_apart
from probtokens.simulate.compiler import require_compiler
from probtokens.simulate.flow import FlowModel, Stage
from probtokens.simulate.mixture import State

#: A frame is accepted if its fastest wave would have asked for no more than this many times its steps.
_TOLERANCE = 1.15
#: Attempts per frame, each with more steps.
_ATTEMPTS = 6

Speed = TypeVar("Speed", float, Tensor)


class UnstableError(RuntimeError):
    """No number of steps advances a frame."""


class Pace(NamedTuple):
    """How a frame was stepped.

    ``wave_speed`` is the largest |u| + |v| + 2c [km/s] of the batch; ``courant`` (batch,) is the largest
    Courant number of each simulation, acoustic and viscous transport together; ``steps`` were taken.
    """

    wave_speed: float
    courant: Tensor
    steps: int


#: Batch shapes and spacings of one process for which kernels are compiled; torch gives up after eight.
_MOST_SHAPES = 200


class Solver:
    """Advances batches of states with one flow model.

    Parameters
    ----------
    model
        Discretised physics.
    cfl
        Courant number per axis, of acoustic and viscous transport together.
    compiled
        Whether to compile the kernels (once per batch shape). Falls back to eager, with a warning,
        where no compiler works. Results are reproducible within one of the two modes.
    """

    def __init__(self, model: FlowModel, cfl: float = 0.4, compiled: bool = False) -> None:
        self.model = model
        self.cfl = cfl
        self._euler: Callable[..., Stage] = model.euler
        self._combine: Callable[..., Stage] = model.combine
        self._untried = compiled
        #: Kind of the kernels, ``compiled`` or ``eager``; known after the first frame.
        self.kernels = "eager"

    @torch.no_grad()
    def advance(self, state: State, outside: State | None, duration: float, pace: Pace | None = None) -> tuple[State, Tensor, Pace]:
        """Advance by exactly ``duration`` [ns] in equal steps.

        The number of steps follows from the largest wave speed of the preceding frame, given by its
        ``pace`` (measured here if not given); all simulations of a batch take the same steps. If waves
        turn out faster than the tolerance allows, or the state is not finite, the frame is repeated with
        more steps.

        Returns
        -------
        State, accumulated outflow of mass and energy (batch, 2) per µm² of cell face, and the
        frame's pace.

        Raises
        ------
        UnstableError
            If no acceptable step count was found.
        """
        if self._untried:
            self._compile(state, outside)
        fastest = pace.wave_speed if pace else float(self._euler(state, outside, state.gas.new_zeros(())).wave_speed.max())
        if not math.isfinite(fastest):
            raise UnstableError("flow solver: expected a finite state to advance, got a wave speed that is not")
        steps = self._steps(duration, fastest)
        most = steps * 2**_ATTEMPTS
        for _ in range(_ATTEMPTS):
            new, outflow, speeds = self._march(state, outside, duration / steps, steps)
            fastest = float(speeds.max())
            finite = math.isfinite(fastest) and all(bool(value.isfinite().all()) for value in new)
            needed = self._steps(duration, fastest) if finite else 2 * steps
            if needed <= steps * _TOLERANCE:
                return new, outflow, Pace(fastest, self._rate(speeds.double()) * (0.5 * duration / steps), steps)
            if needed > most:  # a wave that fast is an instability; following it would take for ever
                break
            steps = needed
        raise UnstableError(f"flow solver: no stable step for a frame of {duration} ns; last tried {steps} steps")

    def _steps(self, duration: float, wave_speed: float) -> int:
        """Number of steps from the acoustic and viscous limits together."""
        return math.ceil(duration * self._rate(wave_speed) / (2.0 * self.cfl))

    def _rate(self, wave_speed: Speed) -> Speed:
        """Twice the Courant number of a step per its duration [1/ns].

        The most oscillating mode decays at 2 (Σ|u| + c)/Δx by upwinding and at 4 (4/3 + 1) ν/Δx² by
        viscosity in two dimensions; the two add up, and their sum bounds an explicit step.
        """
        spacing = self.model.spacing
        rate = wave_speed / spacing
        if self.model.viscosity:
            rate += 2.0 * (4.0 / 3.0 + 1.0) * self.model.viscosity / self.model.viscous_density / spacing**2
        return rate

    def _compile(self, state: State, outside: State | None) -> None:
        """Try compiled kernels on one step of no duration; keep the eager ones if that fails."""
        self._untried = False
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _MOST_SHAPES)
        still = state.gas.new_zeros(())
        try:
            if still.device.type == "cpu":
                require_compiler()
            tell_kernels_apart()
            euler, combine = (torch.compile(f, dynamic=False, fullgraph=True) for f in (self._euler, self._combine))
            first = euler(state, outside, still)
            combine(state, first, euler(first.state, outside, still), still)
        except Exception as error:  # noqa: BLE001 - the compiler's own errors have no common base
            warnings.warn(
                f"flow solver: compiling failed ({type(error).__name__}: {str(error).splitlines()[0]}); "
                "continuing with eager kernels, several times slower. Is a C++ compiler installed?",
                RuntimeWarning,
                stacklevel=2,  # in this package, so that the screen shows it
            )
        else:
            self._euler, self._combine = euler, combine
            self.kernels = "compiled"

    def _march(self, state: State, outside: State | None, step: float, steps: int) -> tuple[State, Tensor, Tensor]:
        """State, outflow (batch, 2) and largest wave speeds (batch,) of equal steps."""
        time_step = torch.full((), step, dtype=state.gas.dtype, device=state.gas.device)
        batch, ny, nx = state.gas.shape
        outflow = state.gas.new_zeros((batch, 2, 2 * (ny + nx)), dtype=torch.float64)
        speeds = state.gas.new_zeros(batch)
        for _ in range(steps):
            first = self._euler(state, outside, time_step)
            second = self._euler(first.state, outside, time_step)
            both = self._combine(state, first, second, time_step)
            state = both.state
            outflow += both.outflow
            speeds = torch.maximum(speeds, both.wave_speed)
        return state, outflow.sum(dim=-1), speeds
