"""What is written on a command line or in a recipe, and what is read."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from probtokens import cli
from probtokens.config import Config, dump_config, load_config
from probtokens.yaml_text import NotYaml, read_yaml, read_yaml_value, write_yaml

PLAIN = [
    ("010", 10),
    ("0o17", 15),
    ("0x1F", 31),
    ("0b11", "0b11"),
    ("+7", 7),
    ("-0", 0),
    ("1_000", "1_000"),
    ("12:30", "12:30"),
    ("190:20:30.15", "190:20:30.15"),
    ("1e-3", 0.001),
    ("1.5E+2", 150.0),
    (".5", 0.5),
    ("-.inf", -math.inf),
    ("2024-01-01", "2024-01-01"),
    ("yes", "yes"),
    ("off", "off"),
    ("true", True),
    ("FALSE", False),
    ("~", None),
    ("", None),
    ("Null", None),
    ("'010'", "010"),
    ("[010, on]", [10, "on"]),
    ("{y: 1, n: 2}", {"y": 1, "n": 2}),
    ("!!str 010", "010"),
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_plain_values_are_those_of_yaml_1_2(text, value):
    found = read_yaml_value(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("levels", "known"), [(200, "end"), (201, "too many levels"), (500_000, "too many levels")])
def test_brackets_that_are_open_at_once_are_few(levels, known):
    """PyYAML's time grows with the square of their number: a recipe of half a megabyte of them would take a day."""
    with pytest.raises(NotYaml, match=known):
        read_yaml("[" * levels)
    assert read_yaml("[" * 100 + "]" * 100 + "\n") is not None
    assert read_yaml(f"a: '{'[' * 100}'") == {"a": "[" * 100}


def test_no_number():
    assert math.isnan(read_yaml_value(".nan"))


NO_YAML = [
    "[0.5",
    "{",
    "a: b: c",
    "!x y",
    "@x",
    "`x",
    "%x",
    "- a: [",
    "'a",
    "? [a]",
    "{[a]: 1}",
    "{a: 1, a: 2}",
    "a\0b",
    "!!int x",
]


@pytest.mark.parametrize("text", [*NO_YAML, "[" * 5000])
def test_what_is_no_yaml_is_one_kind_of_error(text):
    with pytest.raises(NotYaml, match="expected YAML, got "):
        read_yaml(text)


@pytest.mark.parametrize("text", ["run #2", "'run' #2", "# all", "[a, b] # c", "8 # members"])
def test_a_value_of_one_line_has_no_comment(text):
    with pytest.raises(NotYaml, match="expected YAML, got the comment '#"):
        read_yaml_value(text)


@given(
    st.text(st.characters(blacklist_categories=("Cs", "Cc")))
    | st.from_regex(r"[-+0-9.:_eExo]{1,8}", fullmatch=True)
    | st.floats()
    | st.integers()
)
def test_what_is_written_is_read_back_by_readers_of_both_versions(value):
    text = write_yaml({"key": [value, {"inner": value}]})
    for read in (read_yaml, yaml.safe_load):
        first, second = read(text)["key"]
        assert type(first) is type(value)
        assert first == second["inner"] == value or value != value


PATHS = [
    "/scratch/run #2",
    "@scratch",
    "[a]/b",
    "a: b",
    "{x}",
    "*",
    "!x",
    "010",
    "12:30",
    "yes",
    "a  b",
    "'a'b",
    "#2",
    "%data",
    "a\tb",
    "C:\\data",
    "ü/µ",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", ["data.micro", "data.meso", "data.micro_tokens"])
def test_paths_are_taken_as_they_are(key, path):
    config = load_config(None, [f"{key}={path}"])
    assert str(getattr(config.data, key.split(".")[1])) == path
    assert Config.model_validate(read_yaml(dump_config(config))) == config


def test_the_path_of_an_image_is_one():
    pores = "simulate.meso.microstructure"
    overrides = [f"{pores}={{image: {{path: x, pixel_size: 0.02}}}}", f"{pores}.image.path=/scans/no #3 [a].png"]
    assert str(load_config(None, overrides).simulate.meso.microstructure.image.path) == "/scans/no #3 [a].png"


@pytest.mark.parametrize(("text", "path"), [("''", "."), ("'a #b'", "a #b"), ('"a"', "a"), ("~", "None"), ("null", "None"), ("", "None")])
def test_a_path_may_be_quoted_or_none(text, path):
    assert str(load_config(None, [f"data.micro={text}"]).data.micro) == path


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name=run #2", "override 'name=run #2': expected YAML, got the comment '#2'; quotes make it text"),
        ("name=a: b: c", "override 'name=a: b: c': expected YAML, got mapping values"),
        ("seed={", "override 'seed={': expected YAML"),
        ("evaluate.hotspot_threshold=12:30", "evaluate.hotspot_threshold: .*got '12:30'"),
        ("rollout.members=0b11", "rollout.members: .*got '0b11'"),
        ("micro.tokens={patch: 4, patch: 8}", "the key 'patch' twice"),
        ("data.micro='a'b #'", "override \"data.micro='a'b #'\": expected YAML"),
        ("simulate.shifts.hot.microstructure.image.pth=x", "no such key"),
    ],
)
def test_overrides_that_do_not_fit_are_named(override, message):
    with pytest.raises(ValueError, match=message):
        load_config(None, [override])


@pytest.mark.parametrize("text", NO_YAML)
def test_no_override_ends_a_command_with_another_error(text, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed: 1\n", encoding="utf-8")
    result = CliRunner().invoke(cli.app, ["simulate", str(recipe), "--out", str(tmp_path / "run"), "--set", f"name={text}"])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"probtokens: error: override {f'name={text}'!r}: expected YAML, got ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: caf\xe9\n", "expected text in UTF-8, got other bytes at 9"),
        (b"? [a, b]\n: 1\n", r"line 1: expected YAML, got the key \['a', 'b'\]"),
        (b"seed: 1\nname: !!int x\n", "expected YAML, got invalid literal"),
        (b"seed: 12:30\n", "seed: .*got '12:30'"),
        (b"\x00\x01", "expected YAML, got "),
        (b"1: 2\n", "recipe.yaml: "),
    ],
)
def test_recipes_that_cannot_be_read_are_named(content, message, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(content)
    with pytest.raises(ValueError, match=rf"recipe\.yaml.*{message.removeprefix('recipe.yaml')}"):
        load_config(recipe)


def test_a_recipe_counts_as_an_override_does(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "\ufeffseed: 010\nreport: {animation: off}\nmicro: &m\n  devices: 0x2\nmeso: {<<: {}, n_simulations: 1e0}\n", encoding="utf-8"
    )
    config = load_config(recipe)
    assert (config.seed, config.report.animation, config.micro.devices, config.meso.n_simulations) == (10, False, 2, 1)
