"""The allocator's setting, against what the process is seen to give back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys
from pathlib import Path
import numpy as np
if sys.argv[1] == "keep":
    from probtokens.memory import keep_freed_memory
    assert keep_freed_memory()
def faults():
    return int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[7])
def work():
    blocks = [np.ones(1 << 18) for _ in range(8)]  # 2 MiB each
work()
before = faults()
for _ in range(20):
    work()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="a setting of glibc on Linux")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    def page_faults(mode: str) -> int:
        done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert page_faults("keep") < 0.1 * page_faults("default")
