"""What a user gets wrong in a map is one line that names the key and the column, exit code 2, and nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

CommandLine = Callable[..., tuple[int, str, str]]

BASE = """
kind = "boundary"
name = "map"
outputs = ["iterations"]
[map]
z = "z**2 + c"
[start]
z = 0
[constants]
c = "pixel"
[stop]
when = "abs(z) > 2"
max_iterations = 50
[view]
resolution = [4, 4]
"""

REAL = BASE.replace('z = "z**2 + c"', 'x = "1 - c*x**2 + y"\ny = "0.3*x"').replace(
    'z = 0', 'x = "u"\ny = "v"').replace('c = "pixel"', "c = 1.4").replace("abs(z)", "abs(x)")  # fmt: skip

OVERRIDES = [
    # Names
    ("map.z=z**2 + q", "map.z, column 8: unknown name 'q'"),
    ("map.z=z**2 + c + k_old", "map.z, column 12: unknown name 'k_old'"),
    ("map.z=z**2 + f(c)", "map.z, column 8: unknown function 'f'"),
    ("constants.b=3", "constants.b: nothing uses b; remove it"),
    ('define={"f(s)" = "s**2"}', "define.f(s): nothing uses f; remove it"),
    ('constants={b = "g", g = "2*h", h = 1}', "constants.b: nothing uses b; remove it"),
    ("constants.z=3", "constants.z: z is also map.z"),
    ("constants.t=3", "constants.t: t has a meaning of its own"),
    ("constants.i=3", "constants.i: i has a meaning of its own"),
    ("constants.z_old=3", "constants.z_old: z_old has a meaning of its own"),
    ('constants={"2a" = 3}', "constants.2a: a name has letters, digits and _"),
    ("constants.iterations=3", "constants.iterations: nothing uses iterations"),
    ('constants={c = "pixel*x", x = 2}', "constants.x: the store has an array of that name"),
    ('constants={c = "b", b = "pixel + c"}', "constants.c: its value cannot be found: c uses b uses c"),
    ("constants.c=c + pixel", "constants.c: its value cannot be found: c uses c"),
    ("constants.c=z", "constants.c, column 1: unknown name 'z'"),
    ("constants.c=k", "constants.c, column 1: unknown name 'k'"),
    # Definitions
    ('define={"f(s)" = "f(s) + c"}\nmap.z=f(z)', "define.f(s), column 1: this definition uses itself"),
    ('define={"f(s)" = "g(s)", "g(s)" = "f(s)"}\nmap.z=f(z) + c', "define.f(s), column 1: this definition uses itself"),
    ('define={"f(s)" = "s +"}\nmap.z=f(z) + c', "define.f(s), column 3: "),
    ('define={"f(s" = "s"}\nmap.z=f(z) + c', "define.f(s: "),
    ('define={"f(s)" = "s*q"}\nmap.z=f(z) + c', "define.f(s), column 3: unknown name 'q'"),
    ('define={"f(s)" = "s*s"}\nmap.z=f(z, z) + c', "map.z, column 1: f takes 1 argument, not 2"),
    ("map.z=d(abs(z), z) + c", "map.z, column 1: abs(...) has no derivative"),
    ('define={q = "z + 1"}\nconstants.c=q', "constants.c: uses z through a definition"),
    # Types
    ("stop.when=abs(z)", "stop.when, column 1: this gives a number, not a truth value"),
    ("stop.when=z > 2", "stop.when, column 1: complex numbers have no order"),
    ("stop.when=abs(z) > c", "stop.when, column 1: complex numbers have no order"),
    ("map.z=max(z, c)", "map.z, column 1: max needs real numbers"),
    ("numbers=real", "map.z, column 8: c makes this complex, but z of a real map is real"),
    ("stop.max_iterations=u", "stop.max_iterations, column 1: unknown name 'u'"),
    # Syntax and hostile texts
    ("map.z=z**2 + ", "map.z, column 6: "),
    ("map.z=z^2 + c", "map.z, column 2: '^' is not part of a formula; write ** for a power"),
    ("map.z=__import__('os').system('touch executed') + c", "map.z, column "),
    ("map.z=z.real + c", "map.z, column "),
    ("map.z=" + "(" * 10_000 + "z" + ")" * 10_000, "map.z, column 4097: "),
    ("map.z=" + "(" * 1_500 + "z" + ")" * 1_500, "map.z, column 101: brackets are nested deeper than 100"),
    ("map.z=z*10**10**10**10 + c*1e999", None),
    ("stop.max_iterations=10**10**10", "stop.max_iterations: '10**10**10' is inf in frame 0"),
    # Starts
    ("start.w=0", "start.w: [map] has no such state; nearest: z"),
    ("map.w=z", "start.w: is missing; write where w begins"),
    ("map.z=z**2 + c + z_old", "start.z_old: is missing; [map] uses z_old"),
    ("start.z_old=0", "start.z_old: [map] does not use z_old; remove it"),
    ("start.z=z", "start.z, column 1: unknown name 'z'"),
    # Values
    ("constants.c=pixel + 1/t", None),
    ('constants={c = "pixel + b", b = "1/t"}', "constants.b: '1/t' is inf in frame 0"),
    ("stop.max_iterations=0", "stop.max_iterations: must be at least 1"),
    ("stop.max_iterations=3e9", "stop.max_iterations: at most 2147483646"),
    # Outputs and their sections
    ("outputs=['iteration']", "outputs[0]: 'iteration' is not among iterations, outcome, final, smooth, distance"),
    ("outputs=['root']", "roots.of: is missing; write the function whose roots are meant: \"f(z)\""),
    ("outputs=['root']\nroots.of=z**2 + c", "roots.of: c depends on the pixel"),
    ("outputs=['root']\nroots.of=2 + t", "roots.of: must be a function of exactly one of z"),
    ("outputs=['orbit_trap']", "trap.value: is missing; write the formula whose smallest value is kept"),
    ("outputs=['orbit_trap']\ntrap.value=z", "trap.value, column 1: z makes this complex"),
    ("outputs=['distance']\nstop.when=abs(z - c) > 2", "stop.when: outputs = distance needs a complex map and a test"),
    ("outputs=['distance']\nconstants.c=conj(pixel)", "constants.c, column 1: conj(...) has no derivative"),
    ("outputs=['distance']\nconstants.c=u + i*v", "constants.c: outputs = distance needs the name pixel in place of u"),
    ("picture.value=smooth", "picture.value, column 1: unknown name 'smooth'"),
    ("numerics.precision=perturbation", "numerics.precision: perturbation is not offered for kind boundary"),
    # Sections and keys
    ("stop.wen=3", "stop.wen: unknown key; nearest: stop.when"),
    ("integrator.dt=0.1", "map.z: with [integrator], [map] has rates of change; write dz"),
    ('map={dz = "z"}', "start.dz: is missing; write where dz begins"),
    ("map.z=[1]", "map.z: expected a number or a formula"),
    ("constants.c=" + "9" * 400, "constants.c: too large for a number of 64 bits"),
    ("constants.c=true", "constants.c: expected a number or a formula"),
    ("numbers=quaternion", "numbers: 'quaternion' is not among auto, complex, real"),
]  # fmt: skip


@pytest.mark.parametrize(("assignments", "start"), OVERRIDES, ids=lambda text: str(text)[:40])
def test_one_line_names_the_key(command_line: CommandLine, tmp_path: Path, assignments: str, start: str | None) -> None:
    (tmp_path / "map.toml").write_text(BASE)
    options = [part for assignment in assignments.split("\n") for part in ("--set", assignment)]
    begin = time.perf_counter()
    code, out, err = command_line("plan", "map.toml", *options)
    if start is None:
        assert (code, err) == (0, "")
        return
    assert code == 2
    assert out == ""
    assert err.startswith(f"horseshoe: {start}")
    assert err.count("\n") == 1
    assert time.perf_counter() - begin < 2
    assert [path.name for path in tmp_path.iterdir()] == ["map.toml"]


@pytest.mark.parametrize(
    ("assignment", "start"),
    [
        ("map.x=x + i", "start.x: a real"),
        ("numbers=real\nmap.x=x + c*i + y", "map.x, column 7: i makes this complex, but x of a real map is real"),
        ("numbers=real\nmap.x=x + c*pixel + y", "map.x, column 7: pixel makes this complex"),
        ("numbers=real\nstart.x=pixel", "start.x, column 1: pixel makes this complex, but the start of x"),
        ("outputs=['distance']", "stop.when: outputs = distance needs a complex map"),
        ('map={dx = "y", x = "y"}', "start."),
    ],
    ids=lambda text: text[:40],
)
def test_real_maps(command_line: CommandLine, tmp_path: Path, assignment: str, start: str) -> None:
    (tmp_path / "map.toml").write_text(REAL)
    options = [part for one in assignment.split("\n") for part in ("--set", one)]
    code, _, err = command_line("plan", "map.toml", *options)
    if assignment == "map.x=x + i":
        # An imaginary unit makes a complex map of it, in which c and y must then be used
        assert (code, err.startswith("horseshoe: constants.c: nothing uses c")) == (2, True)
        return
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"horseshoe: {start}")


@pytest.mark.parametrize(
    ("change", "start"),
    [
        (("[map]", '[map]\nw = "w"'), "start.w: is missing"),
        (('z = "z**2 + c"', 'dz = "z**2 + c"'), "map.dz: a rate of change needs a time step: [integrator] dt"),
        (('when = "abs(z) > 2"', ""), "stop.when: is missing"),
        (('[map]\nz = "z**2 + c"', ""), "map: is missing"),
        (('z = "z**2 + c"', ""), "map: is empty"),
        (("[start]\nz = 0", ""), "start: is missing"),
        (("[map]\n", "[map]\n" + "".join(f's{n} = "1"\n' for n in range(20))), "map: has 21 states, at most 16"),
    ],
)
def test_files(command_line: CommandLine, tmp_path: Path, change: tuple[str, str], start: str) -> None:
    (tmp_path / "map.toml").write_text(BASE.replace(*change))
    code, out, err = command_line("plan", "map.toml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"horseshoe: {start}")
