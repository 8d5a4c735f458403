"""What is asked of the cluster for a plan, and the profiles that bound it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernels.errors import RequestError
from slurm import profile
from slurm.profile import Profile
from slurm.request import Request, Work, ask, seconds, time_text

HOUR = 3600
PROFILE = Profile(ranks_per_node=4, max_nodes=8, max_time="12:00:00", goal_time="1:00:00")


def work(**changes: object) -> Work:
    given = {"num_units": 1000, "rank_seconds": 20 * HOUR, "rank_bytes": 1 << 30, "unit_bytes": 0, "grace_s": 10.0}
    return Work(**{**given, **changes})  # type: ignore[arg-type]


def test_nodes_time_and_memory_follow_from_the_plan() -> None:
    # 20 ranks end in an hour; 1.5 h, ten minutes to start and the warning make it 1:50.
    assert ask(work(), PROFILE) == Request(nodes=5, ranks=20, time_s=6600, node_bytes=4 * (2 << 30), warning_s=40)
    assert ask(work(rank_seconds=1.0), PROFILE).ranks == 1
    assert ask(work(num_units=6), PROFILE).ranks == 6
    assert ask(work(num_units=6), PROFILE).nodes == 2
    assert ask(work(rank_bytes=4 << 30, num_units=3), PROFILE).node_bytes == 3 * (5 << 30)


def test_the_profile_bounds_nodes_and_time() -> None:
    large = ask(work(rank_seconds=1000 * HOUR), PROFILE)
    assert (large.nodes, large.ranks, large.time_s) == (8, 32, 12 * HOUR)
    unknown = ask(work(rank_seconds=None), PROFILE)
    assert (unknown.nodes, unknown.ranks, unknown.time_s) == (1, 4, 12 * HOUR)


def test_the_command_line_goes_before_the_plan() -> None:
    given = ask(work(num_units=2), PROFILE, nodes=3, time="30")
    assert (given.nodes, given.ranks, given.time_s) == (3, 12, 1800)


def test_the_warning_covers_the_grace_time_and_a_slow_disk() -> None:
    assert ask(work(grace_s=100.5), PROFILE).warning_s == 131
    assert ask(work(unit_bytes=10**9), PROFILE).warning_s == 60


@pytest.mark.parametrize(
    ("changes", "options", "start"),
    [
        ({}, {"time": "1"}, "--time: too short, a job is told to stop 40 s"),
        ({}, {"time": "soon"}, "--time: 'soon' is not a time"),
        ({}, {"time": "1:00\n#SBATCH --uid=0"}, "--time: "),
        ({}, {"nodes": 0}, "--nodes: "),
        ({"grace_s": 1e6}, {}, "run.grace_s: "),
        ({"grace_s": 50_000.0}, {}, "profile: max_time: too short"),
    ],
)
def test_impossible_requests(changes: dict[str, object], options: dict[str, object], start: str) -> None:
    with pytest.raises(RequestError, match=f"^{start}"):
        ask(work(**changes), PROFILE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30", 1800), ("1:30", 90), ("2:00:00", 7200), ("1-12", 129_600), ("1-0:30", 88_200), ("1-02:03:04", 93_784)],
)
def test_times_of_slurm(text: str, expected: int) -> None:
    assert seconds("--time", text) == expected
    assert seconds("--time", time_text(expected)) == expected


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "horseshoe").mkdir()
    return tmp_path / "horseshoe"


def test_a_profile_of_the_user_builds_on_another(home: Path) -> None:
    (home / "big.toml").write_text('base = "multi-gpu"\nmax_nodes = 32\nsetup = ["module load gcc"]\n')
    found = profile.load("big")
    assert (found.max_nodes, found.gpus_per_node, found.setup) == (32, 4, ("module load gcc",))
    # A user's profile may take the name of the ready one that it changes.
    (home / "cpu.toml").write_text('base = "cpu"\npartition = "long"\n')
    assert profile.load(None) == profile.load("cpu")
    assert (profile.load("cpu").partition, profile.load("cpu").cpus_per_rank) == ("long", 8)
    assert profile.load(str(home / "big.toml")) == found


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("max_node = 4\n", "max_node"),
        ("max_nodes = 0\n", "max_nodes"),
        ("max_nodes =\n", "mine.toml"),
        ('base = "mine"\n', "no such profile"),
        ('base = "../mine"\n', "no such profile"),
        ('base = "mine.toml"\n', "base: more than"),
    ],
)
def test_bad_profiles(home: Path, text: str, part: str) -> None:
    (home / "mine.toml").write_text(text)
    with pytest.raises(RequestError, match=part) as caught:
        profile.load("mine")
    assert "\n" not in str(caught.value)


def test_missing_profiles(home: Path) -> None:
    with pytest.raises(RequestError, match="ready: cpu, gpu, multi-gpu, preemptible"):
        profile.load("huge")
    with pytest.raises(RequestError, match="cannot be read"):
        profile.load(str(home / "huge.toml"))


def test_groups_of_ranks() -> None:
    """Ranks come in whole groups; a run that takes more than the nodes have is refused."""
    assert ask(work(num_units=3, group=2, rank_seconds=None), PROFILE).ranks == PROFILE.ranks_per_node
    assert ask(work(num_units=1, group=3, rank_seconds=None), PROFILE).ranks == 3
    assert ask(work(num_units=2, group=3, rank_seconds=None), PROFILE, nodes=1).ranks == 3
    large = ask(work(num_units=1, group=8, rank_seconds=None), PROFILE)
    assert (large.ranks, large.nodes) == (8, -(-8 // PROFILE.ranks_per_node))
    with pytest.raises(RequestError, match=r"--nodes: 1 have .* ranks, a run takes 99; see train\.ranks"):
        ask(work(num_units=1, group=99), PROFILE, nodes=1)


def test_an_array_shares_the_computing_and_nothing_else() -> None:
    # 20 h on 20 ranks: an hour and a half with its margin; of two jobs each has half of that.
    assert [ask(work(), PROFILE, array=number).time_s for number in (1, 2)] == [6600, 3600]
    # Ten minutes to start and the warning are the least, however many there are.
    assert ask(work(), PROFILE, array=1000).time_s == 1200
    # More jobs than units to share make nothing shorter.
    few = work(num_units=40)
    assert ask(few, PROFILE, array=2).time_s == ask(few, PROFILE, array=50).time_s
    assert ask(few, PROFILE, array=50, time="30").time_s == 1800
    for number in (0, -1):
        with pytest.raises(RequestError, match=f"^--array: {number} is not a number of 1 or more"):
            ask(work(), PROFILE, array=number)


def test_units_are_not_divided() -> None:
    # Three units of two hours on two ranks: one of them has two units.
    uneven = Profile(ranks_per_node=2, max_time="12:00:00")
    long = work(num_units=3, rank_seconds=6 * HOUR)
    assert ask(long, uneven, nodes=1).time_s == 4 * HOUR * 3 // 2 + 1200
    # More ranks than units: each unit is still made by one.
    assert ask(long, uneven, nodes=8).time_s == 2 * HOUR * 3 // 2 + 1200


def test_ranks_of_a_group_count_as_one() -> None:
    # Four runs of an hour, each by two ranks: two groups of one node take two hours.
    runs = work(num_units=4, group=2, rank_seconds=2 * 4 * HOUR, is_shared=False)
    alone = ask(runs, PROFILE, nodes=1)
    assert alone.time_s == 2 * HOUR * 3 // 2 + 1200
    assert ask(runs, PROFILE, nodes=1, array=4) == alone
