"""One stage of training in several processes of one machine that share every batch."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import lightning
import torch.distributed
import torch.multiprocessing
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch.multiprocessing import ProcessRaisedException

#: Called with (stage name, steps done, steps in all, loss).
Progress = Callable[[str, int, int, float], None]


def accelerator(devices: int, device: str = "auto") -> str:
    """Kind of device that so many devices are, such as ``cpu`` or ``cuda``.

    Raises
    ------
    ValueError
        If several devices are to be something else than processes of the CPU, or there is no such device.
    """
    there = torch.cuda.device_count()
    if devices > 1:
        if device not in ("auto", "cpu"):
            raise ValueError(f"device: expected 'auto' or 'cpu' with {devices} devices, got {device!r}")
        return "cpu"
    if device == "auto":
        return "cuda" if there else "cpu"
    kind, _, number = device.partition(":")
    usable = {"cpu": not number, "cuda": (number or "0").isdecimal() and int(number or "0") < there}
    if not usable.get(kind, False):
        found = ["auto", "cpu", *(["cuda"] if there else []), *(f"cuda:{k}" for k in range(there))]
        raise ValueError(f"device: expected one of {found}, got {device!r}")
    return kind


def hardware(devices: int, folder: Path, device: str = "auto") -> dict[str, Any]:
    """What a Lightning trainer is told of the hardware: one device, any kind of it by default, or cores of the CPU.

    Processes are forked: stages, windows and models need not be copied, and a caller needs no main guard; CUDA would not
    survive it. They are of this machine, whatever a cluster says of its own. What an objective does not use of a model is the same
    in every step.

    Parameters
    ----------
    devices
        How many.
    folder
        Folder of the training, where processes meet; nothing is looked for elsewhere.
    """
    here = {"default_root_dir": folder}
    if devices == 1:
        kind, _, number = device.partition(":")
        return here | {"accelerator": kind, "devices": [int(number)] if number else 1, "plugins": [_ThisMachine()]}
    return here | {"accelerator": "cpu", "devices": devices, "strategy": _Loopback(folder / ".meeting")}


class _ThisMachine(LightningEnvironment):
    """One machine and the processes that we start, whatever variables of a cluster or another launcher say."""

    creates_processes_externally = False
    main_address = "127.0.0.1"
    main_port = 0

    def node_rank(self) -> int:
        return 0


class _Loopback(DDPStrategy):
    """Processes that meet through a file and talk on the loopback interface: no other machine can reach them, no name is looked up."""

    def __init__(self, meeting: Path) -> None:
        super().__init__(cluster_environment=_ThisMachine(), start_method="fork", static_graph=True)
        meeting.parent.mkdir(parents=True, exist_ok=True)
        meeting.unlink(missing_ok=True)  # what a killed training left
        self.meeting = meeting

    def setup_distributed(self) -> None:
        self.set_world_ranks()
        os.environ["GLOO_SOCKET_IFNAME"] = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
        torch.distributed.init_process_group(
            "gloo", init_method=self.meeting.absolute().as_uri(), rank=self.global_rank, world_size=self.world_size
        )
        super().setup_distributed()


def run(trainer: lightning.Trainer, *args: Any, **kwargs: Any) -> None:
    """``trainer.fit``; an error in one of its processes is raised as it is, and none of them outlives the call."""
    launcher: Any = trainer.strategy.launcher
    if launcher is None:
        trainer.fit(*args, **kwargs)
        return
    errors = torch.multiprocessing.get_context("fork").SimpleQueue()
    launch = launcher.launch
    launcher.launch = lambda function, *a, **k: launch(_as_a_process(function, errors), *a, **k)
    try:
        trainer.fit(*args, **kwargs)
    except ProcessRaisedException as raised:
        if errors.empty():
            raise
        raise pickle.loads(errors.get()) from raised
    finally:
        for process in launcher.procs:
            process.kill()
            process.join()
        trainer.strategy.meeting.unlink(missing_ok=True)


def _as_a_process(function: Callable[..., Any], errors: Any) -> Callable[..., Any]:
    """``function`` on one thread, its errors put into ``errors`` as bytes."""

    @wraps(function)
    def alone(*args: Any, **kwargs: Any) -> Any:
        torch.set_num_threads(1)  # the threads of OpenMP stayed with the parent: whoever waits for them in a fork waits for ever
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if (carried := _pickled(error)) is not None:
                errors.put(carried)
            raise

    return alone


def _pickled(error: Exception) -> bytes | None:
    """``error`` as bytes, None for one that does not come back from them."""
    try:
        carried = pickle.dumps(error)
        pickle.loads(carried)
    except Exception:  # noqa: BLE001 - whatever an exception's own methods raise
        return None
    return carried


@contextmanager
def relayed(progress: Progress | None, devices: int | list[int]) -> Iterator[Progress | None]:
    """What the processes of a training report to, for ``progress`` to be called where it belongs: in the process that started them.

    A process waits until it was; when it fails, they stop and its error is raised.
    """
    if progress is None or devices == 1 or isinstance(devices, list):
        yield progress
        return
    here, there = torch.multiprocessing.get_context("fork").Pipe()
    failures: list[BaseException] = []

    def listen() -> None:
        for news in iter(here.recv, None):
            try:
                progress(*news)
            except BaseException as failure:  # noqa: BLE001 - raised below, where the caller can see it
                failures.append(failure)
            here.send(not failures)

    def report(*news: Any) -> None:
        there.send(news)
        if not there.recv():
            raise RuntimeError("progress could not be reported")

    with ThreadPoolExecutor(1) as listener:
        listener.submit(listen)
        try:
            yield report
        finally:
            there.send(None)
            if failures:
                raise failures[0]
