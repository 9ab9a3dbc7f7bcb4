"""What every benchmark needs: interleaved timing, the hardware, a results file."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from probtokens import __version__
from probtokens.data.atomic import replacing

RESULTS = Path("benchmarks/results")


def best_of(repeats: int, work: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Shortest wall time [s] of each piece of ``work`` after one warm-up call.

    The pieces take turns, so that what else the machine does falls on all of them.
    """
    for call in work.values():
        call()
    best = dict.fromkeys(work, float("inf"))
    for _ in range(repeats):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def hardware() -> dict[str, Any]:
    """Machine, threads and versions that a result belongs to, and how busy the machine was."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _cpu_model()
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "torch": torch.__version__,
        "probtokens": __version__,
    }


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Print ``result`` and write it to ``path`` with the hardware beside it."""
    content = {"hardware": hardware(), **result}
    print(json.dumps(content, indent=2))
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
