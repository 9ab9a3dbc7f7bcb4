"""Which file a forecast's name stands for."""

from pathlib import Path

import pytest

from probtokens.config import load_config
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
@pytest.mark.parametrize("n_meso", ["null", "0"])
def test_coupled_tokens_alone_are_of_the_meso_training(folder, name, n_meso):
    model = load_tokens(name, load_config(None, [f"meso.n_simulations={n_meso}"]), lambda training: folder / f"{training}.pt")
    assert type(model) is (MesoTokens if (name, n_meso) == ("tokens", "null") else MicroTokens)
    assert model.name == name


def test_a_missing_file_is_named(folder):
    with pytest.raises(ValueError, match=r"nowhere/micro: expected a micro model, found no file"):
        load_tokens("micro_tokens", load_config(None), lambda training: Path("nowhere") / training)
