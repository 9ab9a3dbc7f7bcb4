"""Optimizers of a training stage, by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from probtokens.config import OptimizerName

#: Of Adam. A stage has some hundred steps: second moments that remember a thousand would be those of its first ones.
BETAS = (0.9, 0.99)


def make_optimizer(
    name: OptimizerName, learning: Sequence[nn.Parameter], hidden: Sequence[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Optimizer of the parameters that learn.

    Parameters
    ----------
    name
        ``adamw``, or ``muon``: steps of ``hidden`` kernels have their singular values set to one (Jordan et al., *Muon*,
        2024), scaled so that both take the same learning rate (Liu et al., arXiv 2502.16982), and AdamW does the rest.
    learning
        All parameters to optimise.
    hidden
        Kernels between the first and the last layers of networks, of which those among ``learning`` count.
    learning_rate, weight_decay
        Highest rate and weight decay of all parameters.
    """
    if name == "adamw":
        return torch.optim.AdamW(learning, lr=learning_rate, betas=BETAS, weight_decay=weight_decay)
    from pytorch_optimizer import Muon

    among = {id(kernel) for kernel in hidden}
    kernels = [parameter for parameter in learning if id(parameter) in among]
    rest = [parameter for parameter in learning if id(parameter) not in among]
    shared = {"lr": learning_rate, "weight_decay": weight_decay}
    groups = [
        {"params": kernels, "use_muon": True, "use_adjusted_lr": True, **shared},
        {"params": rest, "use_muon": False, "betas": BETAS, "eps": 1e-8, **shared},
    ]
    return Muon([group for group in groups if group["params"]])
