"""Optimizers by name: what each steps, and how far."""

import pytest
import torch
from torch import nn

from probtokens.baselines import Parc
from probtokens.config import ParcConfig
from probtokens.models.base import learn
from probtokens.nn.blocks import ConvNextBlock, ResidualBlock, hidden_kernels
from probtokens.train.optimizers import make_optimizer
from probtokens.verify.token_pairs import GRID, meso_tokens, micro_tokens, normalizer


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
    optimizer = make_optimizer(name, list(net.parameters()), hidden_kernels(net), rate, weight_decay=0.0)
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
@pytest.mark.parametrize("part", ["embed", "blocks"])
def test_what_does_not_learn_stays(name, part):
    """Hidden kernels are those of the whole network: the ones that do not learn are in no group."""
    net = Net()
    learning = list(net.get_submodule(part).parameters())
    optimizer = make_optimizer(name, learning, hidden_kernels(net), 1e-3, weight_decay=0.1)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, learning))
    before = {key: p.detach().clone() for key, p in net.named_parameters()}
    net(torch.randn(4, 3, 6, 6)).square().mean().backward()
    optimizer.step()
    moved = {key for key, p in net.named_parameters() if not torch.equal(p, before[key])}
    assert moved
    assert {key.split(".")[0] for key in moved} == {part}


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens, lambda: Parc(ParcConfig(width=8), normalizer(), GRID)])
def test_every_group_of_a_model_can_be_optimised_and_none_holds_the_parameters_of_another(build):
    model = build()
    held = []
    for group in model.parameter_groups():
        optimizer = make_optimizer("muon", learn(model, (group,)), model.hidden_kernels(), 1e-3, weight_decay=0.0)
        held += [id(parameter) for part in optimizer.param_groups for parameter in part["params"]]
    assert len(held) == len(set(held))
    assert set(held) <= {id(parameter) for parameter in model.parameters()}
