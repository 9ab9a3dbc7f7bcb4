import io
import json
import shutil

import pytest
import rich.console
from PIL import Image

import probtokens
from probtokens.config import dump_config, load_config
from probtokens.pipeline.inspect_coverage import describe_coverage
from tests.helpers import make_campaign


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Coverage of a run with given data, without test simulations; returns the folder and what was printed."""
    root = tmp_path_factory.mktemp("coverage")
    data = {"micro": make_campaign(root / "micro", n_train=6), "meso": make_campaign(root / "meso", ny=32, nx=48, seed=7)}
    for folder in data.values():
        shutil.rmtree(folder / "test")
    run = root / "run"
    run.mkdir()
    (run / "config.yaml").write_text(
        dump_config(load_config(None, [f"data.{scale}={folder}" for scale, folder in data.items()])), encoding="utf-8"
    )
    stream = io.StringIO()
    describe_coverage(run, rich.console.Console(file=stream, width=80, soft_wrap=True))
    return run, stream.getvalue()


def test_it_writes_a_figure_and_the_numbers_and_nothing_else(described):
    run, _ = described
    files = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    assert files == ["config.yaml", "coverage/coverage.json", "coverage/coverage.png"]
    with Image.open(run / "coverage" / "coverage.png") as picture:
        assert picture.size[0] > 1000
    numbers = json.loads((run / "coverage" / "coverage.json").read_text(encoding="utf-8"))
    assert (numbers["version"], numbers["samples"]["seed"]) == (probtokens.__version__, 0)
    assert numbers["meso_splits"] == ["train", "valid"]
    assert numbers["simulations"] == {"micro": 6, "control": 2, "meso_train": 4, "meso_valid": 2}
    assert set(numbers["fields"]) == {"temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y"}
    assert sum(stratum["meso_tokens"] for stratum in numbers["tokens"]["strata"]) == 6 * 6 * 8 * 12


def test_the_tables_fit_a_terminal_and_say_what_was_compared(described):
    run, text = described
    numbers = json.loads((run / "coverage" / "coverage.json").read_text(encoding="utf-8"))
    assert "4 training + 2 validation simulations; no test simulations" in text
    rows = {name: line for name in numbers["verdicts"] for line in text.splitlines() if line.strip().startswith(name)}
    assert all(rows[name].rstrip().endswith(verdict) for name, verdict in numbers["verdicts"].items())
    assert all(len(row) <= 80 for row in rows.values())
    assert "…" not in "".join(line for line in text.splitlines() if "K]" in line or "%]" in line)
    assert str(run / "coverage" / "coverage.json") in text


def test_hot_spots_of_another_field_are_refused(described, tmp_path):
    run, _ = described
    other = (run / "config.yaml").read_text(encoding="utf-8").replace("hotspot_field: temperature", "hotspot_field: pressure")
    (tmp_path / "config.yaml").write_text(other, encoding="utf-8")
    with pytest.raises(ValueError, match="expected hot spots of temperature for its coverage, got some of 'pressure'"):
        describe_coverage(tmp_path)
