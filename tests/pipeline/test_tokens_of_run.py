"""Which file a forecast's name stands for."""

from pathlib import Path

import pytest

from probtokens.config import Config
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.tokens_of_run import TOKEN_MODELS, load_tokens
from probtokens.verify.token_pairs import meso_tokens, micro_tokens


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    micro_tokens().save(folder / "micro.pt")
    meso_tokens().save(folder / "meso.pt")
    return folder


@pytest.mark.parametrize("name", TOKEN_MODELS)
def test_meso_tokens_are_of_the_meso_training(folder, name):
    model = load_tokens(name, lambda training: folder / f"{training}.pt", Config())
    assert type(model) is (MesoTokens if name == "tokens" else MicroTokens)
    assert model.name == name


def test_a_missing_file_is_named(folder):
    with pytest.raises(ValueError, match=r"nowhere/micro: expected a micro model, found no file"):
        load_tokens("micro_tokens", lambda training: Path("nowhere") / training, Config())


@pytest.mark.parametrize("scale", ["micro", "meso"])
def test_micro_tokens_are_put_on_the_grid_of_what_is_forecast(folder, scale):
    config = Config.model_validate(
        {"data": {"meso_cell_width": 2, "meso_steps_per_frame": 3}, "rollout": {"scale": scale, "models": ["micro_tokens"]}}
    )
    model = load_tokens("micro_tokens", lambda training: folder / f"{training}.pt", config)
    assert (model.patch, model.steps_per_frame, model.name) == ((8, 1) if scale == "micro" else (4, 3)) + ("micro_tokens",)
