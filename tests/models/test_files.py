"""Model files: what is damaged, does not fit or asks for too much is refused with the name of the file."""

from __future__ import annotations

import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from probtokens.models.files import give_weights, load_stage, read_weights
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.verify.token_pairs import meso_tokens, micro_tokens

#: Bits that are flipped, one at a time.
FLIPS = 25


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[type, bytes]:
    path = tmp_path_factory.mktemp("models") / "model.pt"
    found: dict[type, bytes] = {}
    for model in (micro_tokens(), meso_tokens()):
        model.save(path)
        found[type(model)] = path.read_bytes()
    return found


@pytest.fixture
def file(written: dict[type, bytes], tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(written[MicroTokens])
    return path


@pytest.mark.parametrize("model", [MicroTokens, MesoTokens])
def test_a_flipped_bit_changes_nothing_or_is_told(model: type[Any], written: dict[type, bytes], tmp_path: Path) -> None:
    path, generator, told = tmp_path / "model.pt", random.Random(0), []
    path.write_bytes(written[model])
    reference = model.load(path).state_dict()
    for _ in range(FLIPS):
        content = bytearray(written[model])
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        path.write_bytes(content)
        try:
            state = model.load(path).state_dict()
        except ValueError as error:
            told.append(str(error))
        else:
            assert all(torch.equal(state[name].nan_to_num(), reference[name].nan_to_num()) for name in reference)
    assert len(told) > FLIPS / 2
    assert not [text for text in told if not text.startswith(f"{path}: ") or len(text) - len(str(path)) > 300]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_part_of_a_file_is_refused(part: float, file: Path) -> None:
    file.write_bytes(file.read_bytes()[: int(part * file.stat().st_size)])
    with pytest.raises(ValueError, match=r"model\.pt: expected a micro model, got an unreadable file \(BadZipFile\)"):
        MicroTokens.load(file)


def test_files_that_are_no_archives_or_compressed_are_refused(file: Path) -> None:
    content = torch.load(file, weights_only=True)
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(file.with_name("small.pt"), "w", zipfile.ZIP_DEFLATED) as small:
        for name in archive.namelist():
            small.writestr(name, archive.read(name))
    with pytest.raises(ValueError, match=r"small\.pt: expected a micro model, got an unreadable file \(compressed data\)"):
        MicroTokens.load(file.with_name("small.pt"))
    torch.save(content, file, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"model\.pt: expected a micro model, got an unreadable file"):
        MicroTokens.load(file)


def test_no_code_of_a_file_runs(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"kind": Call(f"touch {tmp_path}/ran")}, path)
    with pytest.raises(ValueError, match=r"model\.pt: expected a model, got an unreadable file \(UnpicklingError\)"):
        read_weights(path, "a model")
    assert not (tmp_path / "ran").exists()


class Call:
    """Calls the system when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        import os

        return os.system, (self.command,)


def test_what_a_reader_of_pickles_would_run_is_run_by_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Call(f"touch {tmp_path}/ran")))
    assert (tmp_path / "ran").exists()


def change(content: dict[str, Any], key: str, value: Any) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        content = content[int(parent) if isinstance(content, list) else parent]
    content[leaf] = value


#: Key of a model file, what it is set to, and what is told.
CHANGES = [
    ("settings.tokens.width", "wide", "expected settings of a micro model, got others"),
    ("settings.tokens.width", 10**9, "expected weights|expected settings"),
    ("settings.tokens.group_width", 10**6, "expected weights"),
    ("settings.tokens.patch", 10**6, "expected weights|expected settings"),
    ("settings.tokens.transition_blocks", 10**7, "a model of more than"),
    ("settings.tokens.encoder_blocks", 10**7, "a model of more than"),
    ("settings.tokens.trajectory_dim", 5, "expected weights"),
    ("settings.tokens.nosuch", 1, "Extra inputs are not permitted"),
    ("settings", None, "expected settings of a micro model"),
    ("fields", [], "expected settings of a micro model"),
    ("fields.0.name", 7, "expected settings of a micro model|expected weights"),
    ("fields.0.unit", 7, "expected name, unit, label and vector as text"),
    ("fields.2.lower", 1e9, "expected lower < upper"),
    ("fields.0.nosuch", 7, "expected settings of a micro model"),
    ("grid.spacing", float("nan"), "grid spacing: expected > 0"),
    ("grid.nosuch", 1, "expected settings of a micro model"),
    ("state", {}, "a model of more than 0 weights"),
    ("state", None, "expected settings of a micro model"),
    ("state.smoother.nosuch", 1, "expected settings of a micro model|got those of another model"),
    ("state.normalizer.field_scale", torch.zeros(5), "normalizer.field_scale: expected scales > 0, got 0"),
    ("state.normalizer.field_mean", torch.zeros(5, dtype=torch.float64), "expected weights .5,. torch.float32"),
]


@pytest.mark.parametrize(("key", "value", "message"), CHANGES)
def test_settings_and_weights_that_do_not_fit_are_told_before_memory_is_taken(key: str, value: Any, message: str, file: Path) -> None:
    content = torch.load(file, weights_only=True)
    if key.startswith("state."):
        content["state"][key.removeprefix("state.")] = value
    else:
        change(content, key, value)
    torch.save(content, file)
    with pytest.raises(ValueError, match=message) as raised:
        MicroTokens.load(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert len(str(raised.value)) - len(str(file)) < 300


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(wrong: float, file: Path) -> None:
    content = torch.load(file, weights_only=True)
    name = next(name for name in content["state"] if name.startswith("transition"))
    content["state"][name][(0,) * content["state"][name].ndim] = wrong
    torch.save(content, file)
    with pytest.raises(ValueError, match=rf"model\.pt: {name}: expected finite weights, got 1 others"):
        MicroTokens.load(file)


def test_ranges_that_a_normaliser_does_not_know_may_be_missing(file: Path) -> None:
    content = torch.load(file, weights_only=True)
    content["state"]["normalizer.field_range"].fill_(torch.nan)
    torch.save(content, file)
    assert MicroTokens.load(file).normalizer.field_range.isnan().all()


def test_weights_of_a_stage_are_checked_as_those_of_a_model(tmp_path: Path) -> None:
    model, path = micro_tokens(), tmp_path / "00_a.pt"
    torch.save(model.state_dict(), path)
    load_stage(path, model)
    state = model.state_dict()
    name = next(iter(state))
    with pytest.raises(ValueError, match="got those of another model"):
        give_weights(path, model, {name: state[name]})
    with pytest.raises(ValueError, match=rf"00_a\.pt: {name}: expected weights .*, got list"):
        give_weights(path, model, state | {name: [1.0]})
