"""Files, recipes and overrides damaged at random: they are read, or refused in one short line that names them; nothing else happens.

``pytest tests/test_fuzz.py -m slow`` tries thousands; docs/reliability.md has the counts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from probtokens.config import Config, dump_config, load_config
from probtokens.data.importers import Given, open_source
from probtokens.evaluate import load_scores, score_rollout, write_scores
from probtokens.fields import HotSpot
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.fingerprint import fingerprints
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.gate import require_fit
from probtokens.pipeline.graph import build_stages, required
from probtokens.pipeline.record import read_record, started, write_record
from probtokens.predict import open_rollout, rollout_grid, write_rollout
from probtokens.predict.recalibrate import Recalibration, load_recalibration
from probtokens.predict.store import map_slabs
from probtokens.simulate.microstructure.image import read_grey
from probtokens.verify.token_pairs import meso_tokens, micro_tokens
from probtokens.yaml_text import write_yaml
from tests.data.layouts import CASES
from tests.predict.synthetic import RandomWalk, Trajectories, gaussian_rollout
from tests.recipe_values import fitting
from tests.tally import Tally

COUNTS = [pytest.param(20, id="few"), pytest.param(100, id="many", marks=pytest.mark.slow)]


def fuzz(count: int) -> Callable[..., Any]:
    """As many examples, always the same ones."""
    known = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=known)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with some bytes changed, lost, doubled or put in."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(changed) - 1)))
        length = draw(st.integers(0, 40))
        piece = draw(
            st.binary(max_size=12)
            | st.sampled_from([b"\0" * 8, b"\xff" * 8, b"[" * 3000, b"-1", b"1e999", b"null", b'"', b"NaN", b"{}", bytes(changed[:length])])
        )
        changed[place : place + length] = piece
    return bytes(changed)


def a_model(path: Path) -> None:
    micro_tokens().save(path)


def a_meso_model(path: Path) -> None:
    meso_tokens().save(path)


def a_recalibration(path: Path) -> None:
    Recalibration("tokens", 3, {"temperature": [1.0, 1.2]}).save(path)


def scores(path: Path) -> None:
    hotspot = HotSpot("temperature", 875.0)
    entry = score_rollout(gaussian_rollout(path.with_suffix(".zarr"), members=2, n=1, leads=1), hotspot=hotspot, coverage_levels=(0.9,))
    write_scores(path, {"tokens": entry | {"n_meso": 1}}, hotspot, members=2, n_test=1, provenance={})


def a_record(path: Path) -> None:
    write_record(path, started("train_micro", "0123"))


def a_picture(path: Path) -> None:
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30) % 255).save(path)


def an_array(path: Path) -> None:
    np.save(path, np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30))


def a_recipe(path: Path) -> None:
    path.write_text(dump_config(Config()), encoding="utf-8")


def a_rollout(path: Path) -> None:
    write_rollout(RandomWalk(), Trajectories(2), path, members=3, seed=0)


def read_rollout(path: Path) -> None:
    rollout = open_rollout(path)
    rollout_grid(rollout)
    map_slabs(lambda slab: float(slab.prediction.mean() + slab.truth.mean()), rollout)


READERS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any]]] = {
    "model.pt": (a_model, MicroTokens.load),
    "meso.pt": (a_meso_model, MesoTokens.load),
    "recalibration.json": (a_recalibration, load_recalibration),
    "scores.json": (scores, load_scores),
    "train_micro.json": (a_record, read_record),
    "image.png": (a_picture, read_grey),
    "image.pgm": (a_picture, read_grey),
    "image.npy": (an_array, read_grey),
    "recipe.yaml": (a_recipe, load_config),
    "rollout.zarr": (a_rollout, read_rollout),
}


def read_source(source: Path, given: Given) -> None:
    """Read all simulations of a set in the layout of others."""
    opened = open_source(source, given)
    for number in range(len(opened.contents.names)):
        opened.read(number)


def damage_and_read(source: Path, read: Callable[[Path], Any], count: int, tally: Tally) -> None:
    """Damage one file of ``source`` after the other, which is a file or a folder of files."""
    read(source)
    sound = {file: file.read_bytes() for file in sorted(source.rglob("*") if source.is_dir() else [source]) if file.is_file()}

    @fuzz(count)
    @given(st.sampled_from(list(sound)).flatmap(lambda file: st.tuples(st.just(file), damaged(sound[file]))))
    def check(change: tuple[Path, bytes]) -> None:
        file, content = change
        file.write_bytes(content)
        tally.look(lambda: read(source), str(source))
        file.write_bytes(sound[file])

    check()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_by_name(name: str, count: int, tmp_path: Path, tally: Tally) -> None:
    write, read = READERS[name]
    write(tmp_path / name)
    damage_and_read(tmp_path / name, read, count, tally)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", CASES)
def test_damaged_sets_of_others_are_read_or_refused_by_name(name: str, count: int, tmp_path: Path, tally: Tally) -> None:
    damage_and_read(CASES[name].write(tmp_path), lambda source: read_source(source, CASES[name].given), count, tally)


def keys(section: Any, prefix: str = "") -> list[str]:
    """All keys of a recipe, those of sections too."""
    found = []
    for key, value in section.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, dict):
            found += keys(value, f"{prefix}{key}.")
    return found


KEYS = keys(Config().model_dump(mode="json"))
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 1e308, float("nan"), float("inf")])
WORDS = st.text(max_size=30) | st.sampled_from(
    ["../../x", "[/bold]", "a/b", "a: b", "@x", "\0", "\ud800", "x" * 1000, "null", "010", "$(reboot)", "\n#"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def planned(config: Config, folder: Path) -> None:
    """What a run does of a recipe before it works: it is saved as it is, stages know what they depend on, and the gate lets it through."""
    (folder / "saved.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(folder / "saved.yaml") == config
    run = RunFolder(folder / "run")
    stages = build_stages(config, run)
    fingerprints(stages)
    require_fit(config, run, stages, required(stages, "report"))


@pytest.mark.parametrize("count", COUNTS)
def test_recipes_of_any_values_are_planned_or_refused_by_name(count: int, tmp_path: Path, tally: Tally) -> None:
    path = tmp_path / "recipe.yaml"
    values = {key: fitting(key) for key in KEYS}
    sound = st.sampled_from(KEYS).flatmap(lambda key: st.tuples(st.just(key), values[key]))
    odd = st.tuples(st.sampled_from(KEYS), VALUES)

    @fuzz(count)
    @given(st.one_of(*(st.lists(each, min_size=1, max_size=3, unique_by=itemgetter(0)).map(dict) for each in (sound, sound, sound | odd))))
    def check(changes: dict[str, Any]) -> None:
        raw: dict[str, Any] = {}
        for key, value in changes.items():
            *parents, leaf = key.split(".")
            node: Any = raw
            for parent in parents:
                inner = node.setdefault(parent, {})
                if not isinstance(inner, dict):
                    return
                node = inner
            node[leaf] = value
        path.write_text(write_yaml(raw), encoding="utf-8", errors="surrogatepass")
        config = None
        with suppress(ValueError):
            config = load_config(path)
        if config is None:
            tally.look(lambda: load_config(path), str(path))
        else:
            tally.look(lambda: planned(config, tmp_path), "")  # what does not fit what would be simulated is told by its keys

    check()
    assert min(tally.counts.values()) >= count / 5, tally.counts


@pytest.mark.parametrize("count", COUNTS)
def test_overrides_of_any_text_are_read_or_refused(count: int, tmp_path: Path, tally: Tally) -> None:
    @fuzz(count)
    @given(st.sampled_from(KEYS) | WORDS, WORDS | NUMBERS.map(str) | st.text("[]{},:'\"&*!|>%@` \n\t#-?a1.", max_size=12))
    def check(key: str, value: str) -> None:
        tally.look(lambda: load_config(None, [f"{key}={value}"]), "override")

    check()
