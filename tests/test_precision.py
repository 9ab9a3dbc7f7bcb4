"""What a processor computes fast, from what Linux tells of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from probtokens import precision
from probtokens.precision import instructions, resolve

BASE = "fpu sse4_2 fma avx f16c avx2 bmi2"
PROCESSORS = {
    "without avx2": ("fpu sse4_2 avx", (), "float32"),
    "avx2": (BASE, ("AVX2",), "float32"),
    "avx512": (f"{BASE} avx512f avx512dq avx512_vnni", ("AVX2", "AVX512"), "float32"),
    "avx512_bf16": (f"{BASE} avx512f avx512_bf16", ("AVX2", "AVX512", "AVX512-BF16"), "bfloat16"),
    "amx": (f"amx_tile amx_bf16 {BASE} avx512f avx512_bf16 amx_int8", ("AVX2", "AVX512", "AVX512-BF16", "AMX"), "bfloat16"),
    "amx without bf16": (f"{BASE} avx512f amx_tile amx_int8", ("AVX2", "AVX512"), "float32"),
}


@pytest.fixture(autouse=True)
def _without_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user may have set one; and what was found under those of a test is forgotten."""
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    found = precision.instructions
    found.cache_clear()
    yield
    found.cache_clear()


def cpuinfo(path: Path, flags: str) -> Path:
    """A file like /proc/cpuinfo of two processors of one kind."""
    head = "vendor_id\t: GenuineIntel\nmodel name\t: A µ processor with avx512_bf16\n"
    one = f"processor\t: {{}}\n{head}flags\t\t: {flags}\nbugs\t\t: avx2\n\n"
    path.write_text(one.format(0) + one.format(1), encoding="utf-8")
    return path


@pytest.fixture(params=PROCESSORS)
def processor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of one of the processors, which this machine then has."""
    found = instructions(cpuinfo(tmp_path / "cpuinfo", PROCESSORS[request.param][0]))
    monkeypatch.setattr(precision, "instructions", lambda: found)
    return request.param


def test_instructions_are_those_among_the_flags_from_slow_to_fast(processor: str, tmp_path: Path) -> None:
    flags, expected, _ = PROCESSORS[processor]
    assert instructions(cpuinfo(tmp_path / "again", flags)) == expected


def test_auto_is_half_precision_where_the_processor_computes_in_it(processor: str) -> None:
    assert resolve("auto") == PROCESSORS[processor][2]


def test_what_is_asked_for_holds_everywhere(processor: str) -> None:
    for device in ("cpu", "cuda", "mps"):
        assert resolve("float32", device) == "float32"
        assert resolve("bfloat16", device) == "bfloat16"


@pytest.mark.parametrize(
    ("limit", "expected", "auto"),
    [
        ("SSE41", (), "float32"),
        ("AVX2", ("AVX2",), "float32"),
        ("AVX2_VNNI_2", ("AVX2",), "float32"),
        ("AVX512_CORE", ("AVX2", "AVX512"), "float32"),
        ("avx512_core_vnni", ("AVX2", "AVX512"), "float32"),
        ("AVX512_CORE_BF16", ("AVX2", "AVX512", "AVX512-BF16"), "bfloat16"),
        ("AVX512_CORE_FP16", ("AVX2", "AVX512", "AVX512-BF16"), "bfloat16"),
        ("AVX512_CORE_AMX", ("AVX2", "AVX512", "AVX512-BF16", "AMX"), "bfloat16"),
        ("DEFAULT", ("AVX2", "AVX512", "AVX512-BF16", "AMX"), "bfloat16"),
    ],
)
def test_convolutions_use_what_the_environment_allows(
    limit: str, expected: tuple[str, ...], auto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    found = instructions(cpuinfo(tmp_path / "cpuinfo", PROCESSORS["amx"][0]))
    assert found == expected
    monkeypatch.setattr(precision, "instructions", lambda: found)
    assert resolve("auto") == auto


def test_a_limit_gives_a_processor_nothing_that_it_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert instructions(cpuinfo(tmp_path / "cpuinfo", PROCESSORS["avx2"][0])) == ("AVX2",)


@pytest.mark.parametrize("text", ["", "processor : 0\nFeatures : fp asimd bf16\n", "flags\n", "\xff\xfe"])
def test_files_that_tell_no_flags_tell_no_instructions(text: str, tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_bytes(text.encode("latin-1"))
    assert instructions(path) == ()


def test_a_system_without_such_a_file_computes_in_single_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert instructions(tmp_path / "nowhere") == ()
    assert instructions(tmp_path) == ()  # a folder
    monkeypatch.setattr(precision, "instructions", lambda: instructions(tmp_path / "nowhere"))
    assert resolve("auto") == "float32"


@pytest.mark.parametrize(("supported", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_on_a_gpu_the_gpu_decides_without_emulation(supported: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def is_bf16_supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return supported

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    monkeypatch.setattr(precision, "instructions", lambda: ("AVX2",) if supported else ("AVX2", "AMX"))
    assert resolve("auto", "cuda") == expected
    assert asked == [False]


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="needs Linux")
def test_this_machine_is_asked_by_default() -> None:
    assert instructions() == instructions(Path("/proc/cpuinfo"))
    assert resolve("auto") == ("bfloat16" if {"AVX512-BF16", "AMX"} & set(instructions()) else "float32")


COMPILED = """
import torch
from torch._dynamo.utils import counters
from probtokens import precision
if {apart}:
    precision.tell_kernels_apart()
    precision.tell_kernels_apart()
torch.compile(lambda x: torch.sin(x) + 1)(torch.arange(37.0))
print(counters["inductor"]["fxgraph_cache_hit"])
"""


@pytest.mark.parametrize("found", [("AVX2",), ("AVX2", "AVX512-BF16")])
def test_compiled_kernels_are_told_apart_by_instructions(found, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(precision, "instructions", lambda: found)
    with torch.compiler.config.patch(cache_key_tag="own"):
        precision.tell_kernels_apart()
        precision.tell_kernels_apart()
        assert torch.compiler.config.cache_key_tag == " ".join(["own", "AVX512", *found])


@pytest.mark.slow
@pytest.mark.parametrize(("apart", "taken"), [(True, ["0", "0", "1"]), (False, ["0", "1", "1"])])
def test_kernels_for_other_instructions_are_not_taken(apart, taken, tmp_path):
    found = []
    for capability in ("default", None, None):
        environment = {name: value for name, value in os.environ.items() if name != "ATEN_CPU_CAPABILITY"}
        environment |= {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path), **({"ATEN_CPU_CAPABILITY": capability} if capability else {})}
        done = subprocess.run(
            [sys.executable, "-c", COMPILED.format(apart=apart)], env=environment, capture_output=True, text=True, check=True
        )
        found.append(done.stdout.strip())
    assert found == taken
