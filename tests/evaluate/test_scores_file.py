import copy
import json

import numpy as np
import pytest

from probtokens.evaluate import load_scores, score_rollout, write_scores
from probtokens.evaluate.scores_file import evidence_line
from probtokens.fields import HotSpot
from probtokens.predict import Recalibration
from tests.predict.synthetic import gaussian_rollout

HOT = HotSpot("temperature", 875.0)
BOUND = {
    "window_frames": 8,
    "samples": 4,
    "simulations": 2,
    "mean": -1.234,
    "standard_error": 0.056,
    "unit": "nats per value",
    "by_simulation": {"simulation": ["a/0", "a/1"], "bound": [-1.29, -1.178]},
}
FACTORS = Recalibration("m", 3, {"temperature": [1.2], "solid_fraction": [1.1]})


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """A probabilistic and a deterministic model."""
    folder = tmp_path_factory.mktemp("rollouts")
    options = {"hotspot": HOT, "coverage_levels": (0.5, 0.9)}
    many = score_rollout(gaussian_rollout(folder / "many", members=4, n=2, leads=2), recalibration=FACTORS, **options)
    one = score_rollout(gaussian_rollout(folder / "one", members=1, n=2, leads=2), **options)
    return {"tokens": many | {"n_meso": 4}, "persistence": one | {"n_meso": None}}


def write(path, entries):
    return write_scores(path, entries, HOT, members=4, n_test=2, provenance={"seed": 3})


def test_round_trip(tmp_path, entries):
    path = write(tmp_path / "run" / "scores.json", entries)
    document = load_scores(path)
    assert document.keys() == {"schema", "members", "n_test", "hotspot", "units", "models", "provenance"}
    assert (document["schema"], document["members"], document["n_test"], document["provenance"]) == (2, 4, 2, {"seed": 3})
    assert document["hotspot"] == {"field": "temperature", "threshold": 875.0}
    assert document["units"] == entries["tokens"]["units"]
    for name, entry in entries.items():
        expected = {key: value for key, value in entry.items() if key != "units"}
        assert document["models"][name] == expected
    assert document["models"]["tokens"].keys() == {"members", "n_meso", "fields", "hotspot", "uncalibrated", "extrapolation"}
    assert "µm²" in path.read_text(encoding="utf-8"), "readable by people"
    assert [p.name for p in path.parent.iterdir()] == ["scores.json"]


def test_the_evidence_bound_is_kept_and_told(tmp_path, entries):
    given = copy.deepcopy(entries)
    assert evidence_line(load_scores(write(tmp_path / "older.json", given))) == "", "files without any are read as before"
    given["tokens"]["evidence_bound"] = dict(BOUND)
    document = load_scores(write(tmp_path / "s.json", given))
    assert document["models"]["tokens"]["evidence_bound"] == BOUND
    told = "tokens -1.23 ± 0.06 (first 8 frames of 2 simulations, 4 importance samples)."
    assert evidence_line(document) == f"Log-evidence bound in nats per value, higher is better: {told}"
    given["tokens"]["evidence_bound"]["standard_error"] = float("nan")
    document = load_scores(write(tmp_path / "s.json", given))
    assert "higher is better: meso tokens -1.23 ± – (first" in evidence_line(document, lambda name: f"meso {name}")


def test_file_is_strict_json_with_null_for_undefined(tmp_path, entries):
    entries = copy.deepcopy(entries)
    entries["tokens"]["fields"]["temperature"]["spread_skill"] = np.float64("nan")
    entries["tokens"]["fields"]["temperature"]["by_lead"]["crps"][0] = float("nan")

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    document = json.loads(write(tmp_path / "s.json", entries).read_text(encoding="utf-8"), parse_constant=refuse)
    temperature = document["models"]["tokens"]["fields"]["temperature"]
    assert temperature["spread_skill"] is None
    assert temperature["by_lead"]["crps"][0] is None
    assert document["models"]["persistence"]["fields"]["temperature"]["coverage_90"] is None


@pytest.mark.parametrize(("given", "written"), [(np.float32(0.5), 0.5), (np.float32("nan"), None), (np.int64(7), 7)])
def test_numbers_of_arrays_are_written_as_numbers(tmp_path, entries, given, written):
    entries = copy.deepcopy(entries)
    entries["tokens"]["fields"]["temperature"]["crps"] = given
    assert load_scores(write(tmp_path / "s.json", entries))["models"]["tokens"]["fields"]["temperature"]["crps"] == written


def _remove(*path):
    def change(entries):
        node = entries
        for key in path[:-1]:
            node = node[key]
        del node[path[-1]]

    return change


def _infinite(entries):
    entries["tokens"]["fields"]["temperature"]["crps"] = float("inf")


def _other_unit(entries):
    entries["tokens"]["units"]["fields"]["temperature"] = "°C"


def _half_a_bound(entries):
    entries["tokens"]["evidence_bound"] = {key: value for key, value in BOUND.items() if key != "samples"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_infinite, "expected finite numbers or NaN, got an infinite one"),
        (_other_unit, "expected the same units for all models"),
        (_half_a_bound, r"models.tokens.evidence_bound: .* missing \['samples'\]"),
        (_remove("tokens", "n_meso"), r"models.tokens: expected keys .* missing \['n_meso'\]"),
        (_remove("tokens", "fields", "temperature", "rmse"), r"models.tokens.fields.temperature: .* missing \['rmse'\]"),
        (_remove("tokens", "fields", "temperature"), r"models.tokens.fields: .* missing \['temperature'\]"),
        (_remove("tokens", "hotspot", "temperature"), r"models.tokens.hotspot: .* missing \['temperature'\]"),
        (_remove("tokens", "hotspot", "area"), r"models.tokens.hotspot: .* missing \['area'\]"),
        (_remove("tokens", "uncalibrated", "hotspot", "area", "curves"), r"uncalibrated.hotspot.area: .* missing \['curves'\]"),
        (dict.clear, "expected at least one model, got none"),
    ],
)
def test_a_refused_document_leaves_the_old_file(tmp_path, entries, change, message):
    path = write(tmp_path / "scores.json", entries)
    before = path.read_bytes()
    changed = copy.deepcopy(entries)
    change(changed)
    with pytest.raises(ValueError, match=message):
        write(path, changed)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]


def test_interrupted_write_leaves_the_old_file(tmp_path, entries, monkeypatch):
    path = write(tmp_path / "scores.json", entries)
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("probtokens.data.atomic.os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_scores(path, entries, HOT, members=5, n_test=2, provenance={})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]


def document(**changed):
    given = {
        "schema": 2,
        "members": 1,
        "n_test": 1,
        "hotspot": {"field": "u", "threshold": 1.0},
        "units": {},
        "models": {},
        "provenance": {},
    }
    return json.dumps(given | changed).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a scores file"),
        (b"{", "expected a scores file"),
        (b"\xff\xfe\x00", "expected a scores file"),
        (b"[1]", "expected a mapping, got list"),
        (b"{}", "missing"),
        (b'{"schema": 1, "members": 1, "n_test": 1, "units": {}, "models": {}, "provenance": {}}', "expected schema 2, got 1"),
        (b'{"schema": 2, "members": 1, "n_test": 1, "units": {}, "models": {}, "provenance": {}}', r"missing \['hotspot'\]"),
        (document(hotspot={"field": "u"}), r"hotspot: .* missing \['threshold'\]"),
        (document(hotspot={"field": "u", "threshold": "1"}), "expected the name of a field and a number, got 'u' and '1'"),
        (document(), "at least one model"),
        (document(models=[1]), "models: expected a mapping, got list"),
        (document(models={"m": 3}), "models.m: expected a mapping"),
    ],
)
def test_load_names_the_file_and_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "scores.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"scores.json.*{message}"):
        load_scores(path)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="none.json: expected a scores file"):
        load_scores(tmp_path / "none.json")


def test_fields_that_are_no_mapping(tmp_path, entries):
    path = write(tmp_path / "scores.json", entries)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["models"]["tokens"]["fields"] = []
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="models.tokens.fields: expected a mapping, got list"):
        load_scores(path)
