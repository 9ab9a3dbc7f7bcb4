"""Jobs of a cluster: submitit's local executor runs the code that SLURM would."""

import sys

import pytest
import torch

from probtokens.config import ClusterConfig
from probtokens.data.atomic import WriteError
from probtokens.simulate import cluster as module
from probtokens.simulate.execute import run_campaign
from tests.simulate.campaigns import CAMPAIGN, PHYSICS, files, hidden, tasks_of

LOCAL = ClusterConfig(submit=True, executor="local", cpus=1, timeout_min=5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    run_campaign("micro", CAMPAIGN, PHYSICS, folder, seed=7)
    return folder


def test_jobs_make_the_same_files_and_only_those_that_are_missing(finished, tmp_path):
    pytest.importorskip("submitit")
    kept = tmp_path / "data" / "train" / "shard_0000.hdf5"
    kept.parent.mkdir(parents=True)
    kept.write_bytes((finished / "train" / "shard_0000.hdf5").read_bytes())
    written = kept.stat().st_mtime_ns
    reports: list[tuple[int, int, str]] = []
    run_campaign(
        "micro",
        CAMPAIGN,
        PHYSICS,
        tmp_path / "data",
        seed=7,
        progress=lambda *report: reports.append(report),
        cluster=LOCAL,
        logs=tmp_path / "logs",
    )
    assert files(tmp_path / "data") == files(finished)
    assert kept.stat().st_mtime_ns == written
    assert hidden(tmp_path / "data") == []
    assert len(list((tmp_path / "logs").glob("*_result.pkl"))) == 3
    assert reports[0][:2] == (4, 10)
    assert reports[-1][:2] == (10, 10)


def test_an_interrupted_submission_cancels_its_jobs_and_goes_on(finished, tmp_path, monkeypatch):
    """What the jobs had made by then depends on the machine; that nothing runs on, and nothing is half made, does not."""
    submitit = pytest.importorskip("submitit")
    cancelled: list[str] = []
    cancel = submitit.LocalJob.cancel
    monkeypatch.setattr(submitit.LocalJob, "cancel", lambda job, check=True: (cancelled.append(job.job_id), cancel(job, check)))

    def stop(done: int, total: int, text: str) -> None:
        if (tmp_path / "logs").exists():  # all are submitted
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, progress=stop, cluster=LOCAL, logs=tmp_path / "logs")
    assert len(set(cancelled)) >= 3  # all but one that may have ended
    assert files(tmp_path).items() <= files(finished).items()
    run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, jobs=1)
    assert files(tmp_path) == files(finished)
    assert hidden(tmp_path) == []


def test_the_error_of_a_job_reaches_the_caller_and_the_other_shards_are_made(finished, tmp_path):
    pytest.importorskip("submitit")
    (tmp_path / "test").write_text("a file where a folder should be")
    debug = LOCAL.model_copy(update={"executor": "debug", "cpus": torch.get_num_threads() + 1})
    threads = torch.get_num_threads()
    with pytest.raises(WriteError, match="test/shard_0000.hdf5: cannot write: "):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, cluster=debug, logs=tmp_path / "logs")
    expected = files(finished)
    del expected["test/shard_0000.hdf5"]
    assert files(tmp_path) == expected
    assert torch.get_num_threads() == threads


def test_a_job_that_ends_without_a_result_names_its_log(tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit")

    class Lost:
        job_id = "17_0"
        paths = submitit.core.utils.JobPaths(tmp_path, "17_0")

        def result(self):
            raise submitit.core.utils.UncompletedJobError("Job 17_0 has not produced any output (state: TIMEOUT)")

    outcome = module._outcome(Lost(), tasks_of(CAMPAIGN, tmp_path)[0])
    assert isinstance(outcome, RuntimeError)
    assert "micro train/shard_0000: job 17_0 ended without a result" in str(outcome)
    assert "TIMEOUT" in str(outcome)
    assert str(tmp_path) in str(outcome)


def test_options_reach_slurm(tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    options = ClusterConfig(partition="short", account="hmx", cpus=8, gpus=1, memory_gb=16, timeout_min=90, max_parallel=5)
    parameters = module._executor(options, tmp_path, "micro")._executor.parameters
    assert isinstance(module._executor(options, tmp_path, "micro")._executor, submitit.SlurmExecutor)
    assert parameters["partition"] == "short"
    assert parameters["account"] == "hmx"
    assert (parameters["cpus_per_task"], parameters["gpus_per_node"], parameters["mem"]) == (8, 1, "16GB")
    assert (parameters["time"], parameters["array_parallelism"], parameters["job_name"]) == (90, 5, "probtokens-micro")


def test_without_a_cluster_the_error_is_clear(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ValueError, match=r"simulate.cluster.executor: expected slurm on this machine"):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, cluster=ClusterConfig(submit=True), logs=tmp_path / "logs")


def test_without_submitit_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"pip install 'probtokens\[slurm\]'"):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, cluster=LOCAL)
