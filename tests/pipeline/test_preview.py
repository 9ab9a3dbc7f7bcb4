import io

import pytest
import rich.console
from PIL import Image

from probtokens.config import load_config
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.preview import write_preview
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY


@pytest.fixture
def previewed(tmp_path):
    """Preview a tiny run and return what was printed."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(TINY, encoding="utf-8")

    def previewed(*overrides: str) -> str:
        stream = io.StringIO()
        screen = rich.console.Console(file=stream, width=80, soft_wrap=True)
        write_preview(load_config(recipe, overrides), RunFolder(tmp_path / "run"), screen)
        return stream.getvalue()

    return previewed


def test_both_scales_are_drawn_and_described(previewed, tmp_path):
    text = previewed()
    lines = [line.split() for line in text.splitlines()]
    assert ["micro", "meso"] in lines
    assert ["simulations", "(train", "+", "valid", "+", "test)", "2", "+", "1", "+", "1", "2", "+", "1", "+", "2"] in lines
    assert ["domain", "[µm]", "0.64", "×", "0.96", "0.96", "×", "1.28"] in lines
    assert "warning: micro: 4 of 4 pores are less than 10 cells across" in text
    for scale in ("micro", "meso"):
        with Image.open(tmp_path / "run" / "preview" / f"{scale}.png") as picture:
            assert picture.size[0] > 900


def test_given_data_have_no_preview(previewed, tmp_path):
    given = make_campaign(tmp_path / "given")
    text = previewed(f"data.micro={given}")
    assert "micro: nothing to preview, the recipe gives its data" in text
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == ["meso.png", "preview"]
    assert "meso: nothing to preview" in previewed(f"data.micro={given}", f"data.meso={given}")
