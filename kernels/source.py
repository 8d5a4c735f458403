"""A kernel family's device source with one problem's settings in front, rendered for any back end.

Settings are numbers and names from fixed tables: text of users never enters rendered source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernels.backends.compiler import source_digest


@dataclass(frozen=True)
class KernelSource:
    """What is compiled once: `device/FAMILY_host.hpp` or `device/FAMILY_cuda.hpp` under `defines`.

    `outputs` are names in the order of the device code's `Output`; `state_size` is the number of reals that the CUDA driver
    keeps for a pixel between launches. `functions` is device code that a family's files call, made from checked trees only.
    """

    family: str
    real_bytes: int
    defines: Mapping[str, str | int]
    num_inputs: int
    num_parameters: int
    num_outputs: int
    state_size: int
    functions: str = ""

    def lanes(self, num_lanes_float64: int) -> int:
        """Pixels in one vector of this precision, given the number of doubles in one; 1 stays 1."""
        return 1 if num_lanes_float64 == 1 else num_lanes_float64 * 8 // self.real_bytes

    def render(self, backend: str, lanes: int) -> str:
        """The translation unit for 'host' or 'cuda'."""
        defines = {
            **self.defines,
            "REAL_BYTES": self.real_bytes,
            "LANES": lanes,
            "NUM_INPUTS": self.num_inputs,
            "NUM_PARAMETERS": self.num_parameters,
            "NUM_OUTPUTS": self.num_outputs,
            "STATE_SIZE": self.state_size,
        }
        lines = [f"#define {name} {value}" for name, value in defines.items()]
        common = [f'#include "{name}.hpp"' for name in ("lanes", "tile")]
        return "\n".join([*lines, *common, self.functions, f'#include "{self.family}_{backend}.hpp"', ""])

    def digest(self) -> str:
        """Digest of all that decides results: the same on every machine and back end."""
        return source_digest(self.render("host", 0))
