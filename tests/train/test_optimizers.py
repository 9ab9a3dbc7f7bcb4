"""Optimizers by name: what each steps, and how far."""

import pytest
import torch
from torch import nn

from probtokens.nn.blocks import ConvNextBlock, ResidualBlock
from probtokens.train.optimizers import make_optimizer


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList([ResidualBlock(8, 2), ConvNextBlock(8)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        return self.blocks[1](self.blocks[0](h, torch.ones(len(x), 2)))


def stepped(name: str, rate: float) -> dict[str, torch.Tensor]:
    """First update of every parameter, over the learning rate."""
    net = Net()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    before = {key: p.detach().clone() for key, p in net.named_parameters()}
    optimizer = make_optimizer(name, net, rate, weight_decay=0.0)
    net(torch.randn(4, 3, 6, 6)).square().mean().backward()
    optimizer.step()
    return {key: (p.detach() - before[key]) / rate for key, p in net.named_parameters()}


def test_muon_gives_hidden_kernels_equal_singular_values_and_the_rest_to_adam():
    adam, muon = stepped("adamw", 1e-3), stepped("muon", 1e-3)
    kernels = {"blocks.0.first.weight", "blocks.0.second.weight", "blocks.1.expand.weight", "blocks.1.project.weight"}
    for name, update in muon.items():
        if name not in kernels:
            torch.testing.assert_close(update, adam[name], rtol=1e-3, atol=1e-4)
            continue
        shape = update.flatten(1).shape
        values, of_adam = (torch.linalg.svdvals(u.flatten(1)) / (0.2 * max(shape) ** 0.5) for u in (update, adam[name]))
        assert values.min() > 0.5, name  # five Newton-Schulz steps come this close to one
        assert values.max() < 1.3, name
        assert of_adam.max() > 2.0, name


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_what_takes_no_gradient_stays(name):
    net = Net()
    net.blocks.requires_grad_(False)
    optimizer = make_optimizer(name, net, 1e-3, weight_decay=0.1)
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == 2
