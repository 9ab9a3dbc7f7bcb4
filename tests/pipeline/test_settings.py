import io

import pytest
import rich.console

from probtokens.config import Config
from probtokens.pipeline.settings import describe_settings, names


def told(key: str | None = None) -> str:
    stream = io.StringIO()
    describe_settings(key, rich.console.Console(file=stream, width=80, soft_wrap=True))
    return stream.getvalue()


def test_a_key_has_its_default_and_its_description():
    first, what, _ = told("rollout.members").splitlines()
    assert first == f"rollout.members = {Config().rollout.members}"
    assert what.strip() == type(Config().rollout).model_fields["members"].description


def test_defaults_are_those_of_the_section_that_they_are_in():
    assert f"simulate.micro.nx = {Config().simulate.micro.nx}" in told("simulate.micro")
    assert f"simulate.meso.nx = {Config().simulate.meso.nx}" in told("simulate.meso")
    assert Config().simulate.micro.nx != Config().simulate.meso.nx


def test_a_section_has_its_keys_and_no_others():
    keys = {line.split(" = ")[0] for line in told("evaluate").splitlines() if line.startswith("evaluate")}
    assert keys == {f"evaluate.{name}" for name in type(Config().evaluate).model_fields}


def test_without_a_key_all_are_told():
    text = told()
    assert all(f"\n{name}" in f"\n{text}" for name in names())


def test_kinds_of_training_stages_are_told_with_the_list():
    assert "micro.stages, objective rollout_score: " in told("micro.stages")


def test_a_key_that_is_not_there_has_a_neighbour():
    with pytest.raises(ValueError, match="got 'micro.token'; did you mean 'micro.tokens'?"):
        told("micro.token")
