"""The C++ compiler that torch builds kernels with: whether it works, before torch waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from functools import cache
from pathlib import Path

#: Seconds that an empty program may take; some file systems and licence servers are slow.
PATIENCE = 60.0


@cache
def require_compiler() -> None:
    """Build an empty program; torch has no limit of time, and would wait for ever for a compiler that hangs.

    Raises
    ------
    OSError
        If there is no compiler, or it fails or hangs.
    """
    compiler = os.environ.get("CXX", "g++")  # as torch chooses
    with tempfile.TemporaryDirectory(prefix="probtokens-") as folder:
        source = Path(folder) / "empty.cpp"
        source.write_text("int main() { return 0; }\n", encoding="ascii")
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([compiler, "-c", source.name, "-o", "empty.o"], cwd=folder, start_new_session=True, **silent) as process:  # type: ignore[call-overload]
            try:
                code = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                raise OSError(f"{compiler}: expected an empty program within {PATIENCE:g} s, got none") from None
            finally:
                if process.poll() is None:  # with what it has started
                    os.killpg(process.pid, signal.SIGKILL)
    if code != 0:
        raise OSError(f"{compiler}: expected to build an empty program, got exit code {code}")
