"""Networks that are compiled with their weights as constants, for many forecasts of one shape."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from probtokens.precision import tell_kernels_apart


class CompiledNetworks(nn.Module):
    """A model of which parts can be compiled in place; what is compiled is refused once weights have changed."""

    def __init__(self) -> None:
        super().__init__()
        self._compiled_weights: list[tuple[int, int]] | None = None

    @abstractmethod
    def compiled_parts(self) -> list[tuple[nn.Module, str]]:
        """Modules and their methods that forecasts spend their time in and whose weights do not change between draws."""

    def compile_networks(self) -> None:
        """Compile the networks in place, for many forecasts of one shape.

        The first forecast of each number of draws, simulations and cells takes some seconds longer. Weights are frozen into it: a forecast
        after they have changed is refused. Draws differ by rounding. Copies and pickles are of the model as it was before.
        """
        for owner, name in self.compiled_parts():
            setattr(owner, name, Frozen(owner, name))
        self._compiled_weights = self._weights_now()

    def _weights_now(self) -> list[tuple[int, int]]:
        """Identity and number of changes of every parameter."""
        return [(id(parameter), parameter._version) for parameter in self.parameters()]

    def require_compiled_weights(self) -> None:
        """Refuse to compute with networks that were compiled with other weights."""
        if self._compiled_weights is not None and self._compiled_weights != self._weights_now():
            raise ValueError("compiled networks: expected the weights that they were compiled with, got others; load the model anew")

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles have: nothing of compiled networks."""
        return self.__dict__ | {"_compiled_weights": None}


class Frozen:
    """A method of a module, compiled with weights as constants; copies and pickles of the module have the method itself.

    Nobody asks at every call whether a network has changed, which would take a fiftieth of a frame's time.
    """

    def __init__(self, owner: nn.Module, name: str) -> None:
        self.owner, self.name = owner, name
        plain = getattr(type(owner), name).__get__(owner)
        tell_kernels_apart()
        self.compiled = torch.compile(plain, options={"guard_filter_fn": torch.compiler.skip_guard_on_all_nn_modules_unsafe})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Result of the method; the setting counts while it is traced, which is at its first call."""
        with torch._inductor.config.patch(freezing=True):
            return self.compiled(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Method of the copied module."""
        return getattr, (self.owner, self.name)
