import io
import subprocess
import sys
import textwrap

import pytest
import rich.console

from probtokens.config import CampaignConfig, Config, SimulateConfig, load_config
from probtokens.pipeline.console import Console
from probtokens.pipeline.engine import at_work, execute, states
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from tests.simulate.campaigns import CAMPAIGN, PHYSICS

ALL = ["data: first half", "data", "model: first half", "model", "scores: first half", "scores"]


class Stop(Exception):
    """Stands for a kill: nothing after it runs."""


def test_a_second_call_does_nothing(fake_run):
    assert fake_run.execute() == ALL
    assert fake_run.execute() == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [("data", ALL), ("model", ALL[2:]), ("scores", ALL[4:])],
)
def test_a_changed_setting_reruns_what_depends_on_it(fake_run, changed, expected):
    fake_run.execute()
    fake_run.settings[changed] = 2
    assert fake_run.execute() == expected
    assert fake_run.text(changed) == "2"
    assert f"{changed}: settings have changed; what was made with the old ones is removed" in fake_run.stream.getvalue()


def test_a_campaign_that_grows_keeps_its_simulations(tmp_path):
    folder = RunFolder(tmp_path)

    def simulate(campaign: CampaignConfig) -> int:
        config = Config(simulate=SimulateConfig(micro=campaign, physics=PHYSICS))
        console = Console(rich.console.Console(file=io.StringIO()))
        execute(folder, config, build_stages(config, folder), console, only={"simulate_micro"})
        return (folder.data("micro") / "train" / "shard_0000.hdf5").stat().st_mtime_ns

    written = simulate(CAMPAIGN)
    assert simulate(CAMPAIGN.model_copy(update={"n_train": 4})) == written
    assert simulate(CAMPAIGN.model_copy(update={"n_times": 2})) > written


def test_settings_changed_and_restored_in_between_need_no_work(fake_run):
    fake_run.execute()
    fake_run.settings["model"] = 2
    assert states(fake_run.folder, fake_run.stages()) == {"data": "done", "model": "outdated", "scores": "outdated"}
    fake_run.settings["model"] = 1
    assert fake_run.execute() == []


def test_an_interrupted_stage_goes_on_from_its_partial_output(fake_run):
    _interrupt(fake_run, "model")
    assert states(fake_run.folder, fake_run.stages()) == {"data": "done", "model": "partial", "scores": "absent"}
    assert fake_run.execute() == ["model", "scores: first half", "scores"]


def test_partial_output_of_other_settings_is_not_used(fake_run):
    _interrupt(fake_run, "model")
    fake_run.settings["model"] = 2
    assert fake_run.execute() == ALL[2:]
    assert fake_run.text("model") == "2"


def test_an_interrupted_rerun_does_not_revive_the_old_result(fake_run):
    fake_run.execute()
    fake_run.settings["model"] = 2
    _interrupt(fake_run, "model")
    fake_run.settings["model"] = 1
    assert fake_run.execute() == ["model: first half", "model"], "scores of setting 1 are still those of setting 1"
    assert fake_run.text("model") == "1"


@pytest.mark.parametrize("harm", ["removed", "truncated"])
def test_a_damaged_output_is_made_again_and_nothing_else(fake_run, harm):
    fake_run.execute()
    path = fake_run.folder.root / "model" / "out.txt"
    path.unlink() if harm == "removed" else path.write_text("", encoding="utf-8")
    assert fake_run.execute() == ["model"]
    assert "has changed since it was made" in fake_run.stream.getvalue()


def test_files_of_others_in_an_output_folder_are_left_alone(fake_run):
    fake_run.execute()
    (fake_run.folder.root / "data" / "notes.txt").write_text("mine", encoding="utf-8")
    assert fake_run.execute() == []


def test_a_stage_that_makes_less_than_it_promised_is_not_done(fake_run):
    def forget(name):
        if name == "model":
            fake_run.folder.root.joinpath("model", "half.txt").unlink()

    fake_run.before = forget
    with pytest.raises(FileNotFoundError, match=r"half\.txt"):
        fake_run.execute()
    assert states(fake_run.folder, fake_run.stages())["model"] == "partial"


def test_one_stage_alone_needs_the_others_done(fake_run):
    with pytest.raises(ValueError, match="'model' expected the results of 'data', found none; make them with: probtokens data"):
        fake_run.execute(only={"model"})
    assert fake_run.execute(only={"data"}) == ALL[:2]
    assert fake_run.execute(only={"model"}) == ALL[2:4]


def test_one_stage_alone_does_not_build_on_outdated_results(fake_run):
    fake_run.execute()
    fake_run.settings["data"] = 2
    with pytest.raises(ValueError, match="made with other settings"):
        fake_run.execute(only={"scores"})


def test_the_record_says_what_was_made_with_what(fake_run):
    from probtokens.pipeline.record import read_record

    fake_run.execute()
    record = read_record(fake_run.folder.record("model"))
    assert record.status == "done"
    assert record.outputs == {"model/half.txt": 1, "model/out.txt": 1}
    assert record.seconds >= 0
    assert {"python", "torch", "probtokens"} <= record.versions.keys()
    assert "cores" in record.hardware


def test_config_and_log_are_in_the_run_folder(fake_run):
    fake_run.execute()
    assert load_config(fake_run.folder.config) == load_config()
    log = fake_run.folder.log.read_text(encoding="utf-8")
    assert log.index("data: begin") < log.index("scores: done in")


def test_a_failure_leaves_its_traceback_in_the_log(fake_run):
    _interrupt(fake_run, "model")
    log = fake_run.folder.log.read_text(encoding="utf-8")
    assert "model: failed" in log
    assert "Traceback" in log
    assert "Traceback" not in fake_run.stream.getvalue()


def test_a_folder_with_other_files_is_refused_untouched(fake_run):
    root = fake_run.folder.root
    (root / "data").mkdir(parents=True)
    (root / "data" / "precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match="expected an empty folder or a run folder"):
        fake_run.execute()
    assert (root / "data" / "precious.txt").read_text(encoding="utf-8") == "mine"
    assert not (root / "stages").exists()


def test_a_file_in_place_of_the_folder_is_refused(fake_run):
    fake_run.folder.root.write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="expected a folder for the run, found a file"):
        fake_run.execute()


def test_a_folder_left_by_a_kill_at_once_is_taken_up(fake_run):
    fake_run.folder.stages.mkdir(parents=True)
    assert fake_run.execute() == ALL


def test_two_processes_do_not_share_a_run(fake_run):
    fake_run.folder.stages.mkdir(parents=True)
    script = textwrap.dedent(
        """
        import sys
        from filelock import FileLock
        with FileLock(sys.argv[1]):
            print("held", flush=True)
            sys.stdin.read()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(fake_run.folder.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="expected no other process at work"):
            fake_run.execute()
        assert at_work(fake_run.folder)
        other.kill()
    assert not at_work(fake_run.folder)
    assert fake_run.execute() == ALL


def _interrupt(fake_run, at):
    def stop(name):
        if name == at:
            raise Stop

    fake_run.before = stop
    with pytest.raises(Stop):
        fake_run.execute()
    fake_run.before = lambda name: None
