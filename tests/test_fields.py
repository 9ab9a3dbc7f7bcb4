import dataclasses

import pytest

from probtokens.fields import KNOWN_FIELDS, FieldSpec, field_spec


@pytest.mark.parametrize(
    ("name", "odd", "signs"),
    [
        ("Vy", "y", (1, -1)),
        ("v", "y", (1, -1)),
        ("u", "x", (-1, 1)),
        ("vorticity", "xy", (-1, -1)),
        ("stress_xy", "xy", (-1, -1)),
        ("stress_yy", "", (1, 1)),
        ("concentration_y", "", (1, 1)),
    ],
)
def test_symmetry_is_what_is_declared_whatever_the_name(name, odd, signs):
    spec = FieldSpec(name, "1", name, odd=odd)
    assert (spec.mirror_sign("x"), spec.mirror_sign("y")) == signs
    assert field_spec(name, "1", odd=odd).odd == odd


@pytest.mark.parametrize("name", ["Vy", "v", "vorticity", "concentration_y", "momentum_y", "temperature", "solid_fraction"])
def test_what_is_not_declared_is_a_scalar(name):
    spec = FieldSpec(name, "1", name)
    assert (spec.odd, spec.vector) == ("", "")
    assert spec.mirror_sign("x") == spec.mirror_sign("y") == 1


def test_known_components_declare_themselves():
    assert {name: (spec.vector, spec.odd) for name, spec in KNOWN_FIELDS.items() if spec.vector or spec.odd} == {
        "velocity_x": ("velocity", "x"),
        "velocity_y": ("velocity", "y"),
    }
    assert FieldSpec("velocity_y", "km/s", "velocity along y", odd="", vector="").mirror_sign("y") == 1, "unless told otherwise"


def test_a_description_from_before_there_was_a_symmetry_has_the_known_one():
    described = {"name": "velocity_y", "unit": "km/s", "label": "velocity along y", "lower": None, "upper": None}
    assert FieldSpec(**described) == field_spec("velocity_y")
    assert FieldSpec(**dataclasses.asdict(field_spec("v", "m/s", odd="y", vector="u"))) == field_spec("v", "m/s", odd="y", vector="u")


@pytest.mark.parametrize(("changes", "message"), [({"unit": 5}, "as text"), ({"lower": 2.0, "upper": 1.0}, "lower < upper, got 2.0")])
def test_descriptions_that_describe_nothing_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"field 'v': expected .*{message}"):
        FieldSpec(**{"name": "v", "unit": "m/s", "label": "v"} | changes)


@pytest.mark.parametrize("odd", ["z", "yx", "both"])
def test_other_symmetries_are_refused(odd):
    with pytest.raises(ValueError, match=f"field 'v': expected odd '', 'x', 'y' or 'xy', got '{odd}'"):
        FieldSpec("v", "m/s", "v", odd=odd)
