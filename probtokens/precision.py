"""Which arithmetic is fast here: half precision where the processor computes in it, single precision elsewhere."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]

#: Instruction sets of x86-64 that matter to convolutions, by the flag under which Linux lists them; the last found is the fastest.
_INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX512", "avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}
_HALF = frozenset({"AVX512-BF16", "AMX"})

#: How many of these convolutions may use where ``ONEDNN_MAX_CPU_ISA`` limits them; any other value leaves all.
_LIMITS = {
    **dict.fromkeys(("SSE41", "AVX"), 0),
    **dict.fromkeys(("AVX2", "AVX2_VNNI", "AVX2_VNNI_2"), 1),
    **dict.fromkeys(("AVX512_CORE", "AVX512_CORE_VNNI"), 2),
    **dict.fromkeys(("AVX512_CORE_BF16", "AVX512_CORE_FP16"), 3),
}


@cache
def instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Those of AVX2, AVX512, AVX512-BF16 and AMX that the processor has and ``ONEDNN_MAX_CPU_ISA`` allows.

    None where the system does not tell.
    """
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ()
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    allowed = list(_INSTRUCTIONS.items())[: _LIMITS.get(os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper(), len(_INSTRUCTIONS))]
    return tuple(name for flag, name in allowed if flag in flags)


def resolve(asked: Literal["auto", "float32", "bfloat16"], device: str = "cpu") -> Precision:
    """Precision of convolutions: what was asked for, or for ``auto`` bfloat16 where ``device`` computes in it.

    Convolutions in bfloat16 are ten times slower than in float32 on a processor that has neither AVX512-BF16 nor AMX.
    """
    if asked != "auto":
        return asked
    if device == "cuda":
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if not _HALF.isdisjoint(instructions()) else "float32"


def tell_kernels_apart() -> None:
    """Let torch's cache of compiled kernels tell instruction sets apart; to be called before ``torch.compile``.

    Its keys leave out how many numbers an instruction takes, for which loops were written. Kernels made on another processor, or with
    another ``ATEN_CPU_CAPABILITY``, would be built for this one, and write past the end of their arrays.
    """
    import torch
    from torch.compiler import config

    tag = " ".join([torch.backends.cpu.get_cpu_capability(), *instructions()])
    if tag not in config.cache_key_tag:
        config.cache_key_tag = f"{config.cache_key_tag} {tag}".strip()
