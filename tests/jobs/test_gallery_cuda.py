"""Every kernel of the gallery compiles for the GPUs in use, and keeps its state in registers."""

from __future__ import annotations

import pytest

from jobs import model
from jobs.maps import MapJob
from jobs.reading import gallery_names
from kernels import iterate, threebody
from kernels.backends.cuda import OPTIONS
from kernels.expression.lower import lower

ARCHITECTURES = ("sm_80", "sm_90")


def rendered(name: str) -> str:
    """The CUDA source of a gallery job of maps."""
    problem = model.plan(model.load(name)).stages[-1].problem  # type: ignore[attr-defined]
    if isinstance(problem, threebody.Problem):
        return threebody.source(problem).render("cuda", 1)
    return iterate.source(problem, lower(problem.formulas, problem.arithmetic)).render("cuda", 1)


def test_nvrtc_compiles_every_gallery_kernel_without_spills() -> None:
    nvrtc = pytest.importorskip("cupy").cuda.nvrtc
    sources = {rendered(name): name for name in gallery_names() if isinstance(model.load(name), MapJob)}
    assert len(sources) > 40
    for source, name in sources.items():
        for architecture in ARCHITECTURES:
            program = nvrtc.createProgram(source, f"{name}.cu", [], [])
            try:
                nvrtc.compileProgram(program, [*OPTIONS, f"-arch={architecture}", "--ptxas-options=-v"])
            except nvrtc.NVRTCError:
                pytest.fail(f"{name}: {nvrtc.getProgramLog(program)}")
            log = nvrtc.getProgramLog(program)
            assert "0 bytes spill stores, 0 bytes spill loads" in log, f"{name} on {architecture}: {log}"
            nvrtc.destroyProgram(program)
