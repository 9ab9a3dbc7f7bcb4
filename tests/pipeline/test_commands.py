from pathlib import Path

import pytest

from probtokens import report
from probtokens.pipeline import commands


@pytest.fixture
def resolved(tmp_path, monkeypatch):
    """Configuration of a command that is called in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text("name: mine\n", encoding="utf-8")

    def resolved(*overrides):
        seen = []
        monkeypatch.setattr(commands, "execute", lambda folder, config, *others: seen.append(config))
        commands.run_stages("simulate", Path("recipe.yaml"), Path("run"), overrides)
        return seen[0]

    return resolved


def test_paths_of_data_and_images_are_made_absolute(resolved, tmp_path):
    Path("given/train").mkdir(parents=True)
    Path("section.png").write_bytes(b"")
    config = resolved("data.micro=given", "simulate.meso.microstructure.image={path: section.png, pixel_size: 0.02}")
    assert config.data.micro == tmp_path / "given"
    assert config.simulate.meso.microstructure.image.path == tmp_path / "section.png"


def test_an_image_that_given_data_replace_need_not_be_there(resolved):
    Path("given/train").mkdir(parents=True)
    resolved("data.meso=given", "simulate.meso.microstructure.image={path: absent.png, pixel_size: 0.02}")


@pytest.mark.parametrize("figures", [True, False])
def test_what_comes_next_is_said_last(resolved, monkeypatch, capsys, figures):
    resolved()
    capsys.readouterr()
    monkeypatch.setattr(report, "write_figures", lambda folder: [folder / "figures" / "verdict.pdf"])
    commands.run_stages("report", Path("recipe.yaml"), Path("run"), figures=figures)
    *before, last = capsys.readouterr().out.splitlines()
    assert last.startswith("next: ")
    assert before == ["figures: run/figures: verdict.pdf"] * figures
