import io
import json
from pathlib import Path

import pytest
import rich.console
from PIL import Image

from probtokens.fields import HotSpot
from probtokens.pipeline.compare import compare_runs
from tests.report.made_up import document

FIELDS, HOT = {"temperature": "K", "pressure": "GPa"}, HotSpot("temperature", 875.0)


def write(path: Path, crps: float) -> Path:
    path.mkdir()
    (path / "scores.json").write_text(json.dumps(document(FIELDS, HOT, crps=crps)), encoding="utf-8")
    return path


def test_runs_and_files_of_scores_are_compared_and_drawn(tmp_path: Path) -> None:
    first, second = write(tmp_path / "new", 5.0), write(tmp_path / "old", 20.0)
    stream = io.StringIO()
    pairs = compare_runs(first, second / "scores.json", tmp_path / "both.png", screen=rich.console.Console(file=stream, width=120))
    assert {pair.paired.skill for pair in pairs if pair.paired is not None and pair.model == "tokens"} == {0.75}
    text = stream.getvalue()
    assert "75 % to 75 %" in text
    assert text.rstrip().rpartition("next: ")[2].replace("\n", "") == f"look at {tmp_path / 'both.png'}"
    assert "temperature of cells [K]" in text
    assert "8 simulations that both forecast" in text
    with Image.open(tmp_path / "both.png") as image:
        assert image.width > 1000


@pytest.mark.parametrize(("name", "start"), [("both.svg", b"<?xml"), ("both.pdf", b"%PDF")])
def test_pictures_are_vectors_too(name: str, start: bytes, tmp_path: Path) -> None:
    first, second = write(tmp_path / "new", 5.0), write(tmp_path / "old", 20.0)
    compare_runs(first, second, tmp_path / name, screen=rich.console.Console(file=io.StringIO()))
    assert (tmp_path / name).read_bytes().startswith(start)


def test_other_pictures_and_runs_without_scores_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "new", 5.0)
    with pytest.raises(ValueError, match=r"both.gif: expected a picture that ends with"):
        compare_runs(first, first, tmp_path / "both.gif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty/scores.json: expected a scores file"):
        compare_runs(first, tmp_path / "empty")
