"""Optimizers of a training stage, by name."""

from __future__ import annotations

import torch
from torch import nn

from probtokens.config import OptimizerName

#: Of Adam. A stage has some hundred steps: second moments that remember a thousand would be those of its first ones.
BETAS = (0.9, 0.99)

#: Modules between the first and the last layers of a network.
HIDDEN = frozenset({"blocks", "down", "reduce", "up", "residual"})


def make_optimizer(name: OptimizerName, model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Optimizer of the parameters of ``model`` that take gradients.

    Parameters
    ----------
    name
        ``adamw``, or ``muon``: steps of the kernels of ``HIDDEN`` modules have their singular values set to one (Jordan et al., *Muon*,
        2024), scaled so that both take the same learning rate (Liu et al., arXiv 2502.16982), and AdamW does the rest. Convolutions of
        single channels have no singular values to speak of and are part of the rest.
    model
        Network or model.
    learning_rate, weight_decay
        Of all parameters.
    """
    learning = [(key, parameter) for key, parameter in model.named_parameters() if parameter.requires_grad]
    if name == "adamw":
        return torch.optim.AdamW([p for _, p in learning], lr=learning_rate, betas=BETAS, weight_decay=weight_decay)
    from pytorch_optimizer import Muon

    kernels = [p for key, p in learning if _is_hidden_kernel(key, p)]
    rest = [p for key, p in learning if not _is_hidden_kernel(key, p)]
    shared = {"lr": learning_rate, "weight_decay": weight_decay}
    groups = [
        {"params": kernels, "use_muon": True, "use_adjusted_lr": True, **shared},
        {"params": rest, "use_muon": False, "betas": BETAS, "eps": 1e-8, **shared},
    ]
    return Muon([group for group in groups if group["params"]])


def _is_hidden_kernel(name: str, parameter: nn.Parameter) -> bool:
    return not HIDDEN.isdisjoint(name.split(".")) and parameter.ndim == 4 and parameter.shape[1] > 1
