"""Encoding jobs: the rows of a table made by ranks together are those of the encoding in memory, and nonsense is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.reading import open_for_reading
from jobs import model
from kernels.errors import RequestError
from networks.data import fixed_width, sources, table_blocks, tables
from networks.data.fixed_width import Field, FixedWidth
from networks.data.tables import DELIVERIES

from .conftest import compute, compute_store, horseshoe

GENERATED: dict[str, Any] = {"generator": "deliveries", "count": 250, "missing": 0.3, "block_rows": 60}
AWKWARD = '\ufeffname,size\r\n"a,b",12\r\n\r\n"two\r\nlines",\r\n"""",NaN\n\nä, 7 \n\n'


def job(**data: Any) -> model.Job:
    return model.from_tree({"kind": "encoding", "name": "encoding", "data": data})


def of_file(file: Path, **data: Any) -> model.Job:
    return job(path=str(file), **{"fields": {"size": 2}, "alphabet": "_0127", **data})


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """Commas, quotes and ends of lines inside values, blank lines, a mark in front."""
    file = tmp_path / "awkward.csv"
    file.write_bytes(AWKWARD.encode())
    return file


def test_a_store_holds_what_the_encoding_makes(tmp_path: Path) -> None:
    reader = open_for_reading(compute_store(job(**GENERATED), tmp_path / "rows.zarr"))
    table = tables.read(sources.generated("deliveries", 250, 0, {"missing": 0.3}))
    encoding = fixed_width.thaw(reader.constant("encoding").tobytes())
    assert encoding == FixedWidth(DELIVERIES, too_long="cut")
    codes = encoding.encode(table.rows([field.name for field in DELIVERIES]))
    one_hot = reader.read("one_hot")
    assert (reader.read("codes") == codes).all()
    assert one_hot.dtype == np.uint8
    assert one_hot.shape == (250, 15 * sum(field.width for field in DELIVERIES))
    assert (one_hot.reshape(250, 35, 15) == encoding.one_hot(codes)).all()

    numbers = reader.read("numbers")
    columns = reader.array("numbers").attrs["columns"]
    assert isinstance(columns, list)
    assert columns == list(table.numbers)
    for name, column in zip(columns, numbers.T, strict=True):
        np.testing.assert_array_equal(column, table.numbers[str(name)])


def test_counts_of_blocks(tmp_path: Path) -> None:
    reader = open_for_reading(compute_store(job(**GENERATED), tmp_path / "rows.zarr"))
    table = tables.read(sources.generated("deliveries", 250, 0, {"missing": 0.3}))
    rows = table.rows([field.name for field in DELIVERIES])
    assert reader.read("decoded_count").tolist() == [60, 60, 60, 60, 10]
    missing, cut = reader.read("missing_count"), reader.read("cut_count")
    assert missing.sum(0).tolist() == [sum(row[field] == "" for row in rows) for field in range(9)]
    assert 0 < missing.sum() < 250 * 9
    assert cut.sum(0).tolist() == [0, 0, 250, 0, 0, 0, 0, 0, 0]


def test_a_missing_value_changes_only_its_own_block(tmp_path: Path) -> None:
    full = sources.generated("deliveries", 250, 0, {"missing": 0.0}) / "deliveries.csv"
    lines = full.read_text().splitlines()
    place = lines[0].split(",").index("Busy Deliverers")
    values = lines[100].split(",")
    lines[100] = ",".join([*values[:place], "", *values[place + 1 :]])
    file = tmp_path / "one-missing.csv"
    file.write_text("\n".join(lines))
    before, after = (compute(model.plan(job(path=str(path))))["one_hot"] for path in (full, file))
    changed = np.argwhere(before != after)
    assert set(changed[:, 0]) == {99}
    # Store Number, Market, Order Made, Cost and Total Deliverers come before.
    first = (4 + 1 + 8 + 5 + 3) * 15
    assert first <= changed[:, 1].min() <= changed[:, 1].max() < first + 3 * 15
    fillers = after[99, first : first + 45].reshape(3, 15)
    assert (fillers.argmax(1) == fixed_width.DIGITS.index("_")).all()


@pytest.mark.parametrize("block_rows", [1, 2, 3, 4, 100])
def test_blocks_of_an_awkward_file(block_rows: int, awkward: Path) -> None:
    table = tables.read(awkward)
    encoding = FixedWidth((Field("size", 2), Field("name", 10)), '_ä"lab,\ntwonies\r0127')
    blocked = table_blocks.look_through(awkward, encoding, block_rows)
    assert blocked.num_rows == len(table) == 4
    assert len(blocked.blocks) == -(-4 // block_rows)
    read = [blocked.read(number) for number in range(len(blocked.blocks))]
    assert [tuple(texts) for rows in read for texts in rows.texts] == table.rows(["name", "size"])
    assert [line for rows in read for line in rows.lines] == [2, 5, 6, 8]
    codes = np.concatenate([blocked.codes(rows) for rows in read])
    assert (codes == encoding.encode(table.rows(["size", "name"]))).all()
    assert blocked.numeric == ("size",)
    np.testing.assert_array_equal(
        np.concatenate([blocked.numbers(rows) for rows in read])[:, 0], [12, np.nan, np.nan, 7]
    )


def test_at_most_so_many_rows_are_read(awkward: Path) -> None:
    arrays = compute(model.plan(of_file(awkward, count=2)))
    assert arrays["codes"].shape == (2, 2)
    with awkward.open("a") as file:
        file.write("too,many,values\n")
    assert compute(model.plan(of_file(awkward, count=2)))["codes"].shape == (2, 2)
    with pytest.raises(RequestError, match="line 10: 3 values where the header has 2"):
        model.plan(of_file(awkward))


def test_a_frozen_encoding_says_the_same(tmp_path: Path, awkward: Path) -> None:
    reader = open_for_reading(compute_store(of_file(awkward), tmp_path / "rows.zarr"))
    frozen = tmp_path / "frozen.json"
    frozen.write_bytes(reader.constant("encoding").tobytes())
    again = compute(model.plan(job(path=str(awkward), frozen=str(frozen))))
    assert (again["one_hot"] == reader.read("one_hot")).all()


def test_the_identity_is_of_what_is_read_not_of_where_it_lies(tmp_path: Path, awkward: Path) -> None:
    def job_hash(file: Path, **data: Any) -> Any:
        return model.plan(of_file(file, **data)).attributes["job_hash"]

    folder = tmp_path / "moved"
    folder.mkdir()
    moved = folder / awkward.name
    moved.write_bytes(awkward.read_bytes())
    assert job_hash(moved) == job_hash(awkward)
    assert job_hash(moved, fields={"size": 3}) != job_hash(awkward)
    assert job_hash(moved, licence="mine") != job_hash(awkward)
    moved.write_bytes(AWKWARD.replace("12", "11").encode())
    assert job_hash(moved) != job_hash(awkward)


def test_a_file_that_changes_under_way_is_said(awkward: Path) -> None:
    plan = model.plan(of_file(awkward))
    awkward.write_bytes(AWKWARD.replace("12", "11").encode())
    with pytest.raises(RequestError, match=r"awkward\.csv has changed while it was read"):
        compute(plan)


@pytest.mark.mpi
def test_same_bytes_on_any_ranks_and_after_a_kill(tmp_path: Path) -> None:
    def shards(name: str, ranks: int, *, killed: bool = False) -> dict[str, bytes]:
        store = tmp_path / name
        sets = ("--set", "data.count=2000", "--set", "data.block_rows=90")
        if killed:
            _lose_half(store, "deliveries-encoded", *sets)
        done = horseshoe("run", "deliveries-encoded", *sets, "--out", str(store), ranks=ranks)
        assert done.returncode == 0, done.stderr
        verified = horseshoe("verify", str(store))
        assert verified.returncode == 0, verified.stderr
        names = ("codes", "one_hot", "numbers", "missing_count", "cut_count", "decoded_count", "encoding")
        files = [path for name in names for path in (store / name).rglob("*") if path.is_file()]
        return {str(path.relative_to(store)): path.read_bytes() for path in files}

    one, two, resumed = shards("one.zarr", 1), shards("two.zarr", 2), shards("resumed.zarr", 2, killed=True)
    assert len(one) > 6 * 23
    assert one == two == resumed


def _lose_half(store: Path, *job: str) -> None:
    """A store that ended in the middle: half of the units in no ledger, one shard half written."""
    done = horseshoe("run", *job, "--out", str(store))
    assert done.returncode == 0, done.stderr
    (ledger,) = (store / "ledger").glob("*.jsonl")
    lines = ledger.read_bytes().splitlines(keepends=True)
    kept, lost = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    ledger.write_bytes(b"".join(kept) + lost[-1][:20])
    reader = open_for_reading(store)
    unfinished = np.flatnonzero(~reader.finished_units("rows"))
    assert unfinished.size == len(lost)
    for unit in unfinished[-3:]:
        reader.shard_file("one_hot", int(unit)).write_bytes(b"half")


@pytest.mark.parametrize(
    ("text", "data", "said"),
    [
        ("", {}, "first line is not a header"),
        ("name,size\n", {}, "has no rows below its header"),
        ("name,size\na,1\nb\n", {}, "line 3: 1 values where the header has 2"),
        ('name,size\n"a\nb",1\nb,1,2\n', {}, "line 4: 3 values where the header has 2"),
        ("name,sise\na,1\n", {}, "has no column 'size'; did you mean 'sise'?"),
        (
            "name,size\na,1\nb,123\n",
            {"too_long": "error"},
            "column 'size', line 3 of data file FILE: '123' has more than 2",
        ),
        ("name,size\na,1\nb,x\n", {}, "column 'size', line 3 of data file FILE: 'x' is not in the alphabet"),
        ("name,size\na,1\n_b,1\n", {}, "column 'name', line 3 of data file FILE: '_b' begins with '_'"),
        ('name,size\n"a,1\n', {}, "line 2: unexpected end of data"),
        ("name,size\na,1\n\xff,1\n", {}, "soon after line 0: a byte that is no UTF-8"),
    ],
)
def test_a_table_that_is_wrong_is_said(
    text: str,
    data: dict[str, Any],
    said: str,
    tmp_path: Path,
    command_line: Callable[..., tuple[int, str, str]],
) -> None:
    file = tmp_path / "wrong.csv"
    file.write_bytes(text.encode("latin-1"))
    toml = tmp_path / "wrong.toml"
    rest = "".join(f'{key} = "{value}"\n' for key, value in data.items())
    toml.write_text(
        f'kind = "encoding"\n[data]\npath = "{file}"\nalphabet = "_ab0123"\n{rest}[data.fields]\nsize = 2\nname = 9\n'
    )
    code, out, err = command_line("plan", str(toml))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said.replace("FILE", str(file)) in err
    assert str(file) in err


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "data.path"),
        ({"generator": "deliveries"}, "data.count"),
        ({"generator": "deliveries", "count": 10, "path": "a.csv"}, "data.path"),
        ({"generator": "stories", "count": 10}, "data.generator"),
        ({"path": "a.csv", "missing": 0.1}, "data.missing"),
        ({**GENERATED, "alphabet": "0123"}, "data.alphabet"),
        ({**GENERATED, "fields": {"Cost": 0}}, "data.fields"),
        ({**GENERATED, "frozen": "a.json", "alphabet": "ascii"}, "data.frozen"),
        ({**GENERATED, "block_row": 3}, "nearest: data.block_rows"),
    ],
)
def test_impossible_values_are_said(data: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=re.escape(said)):
        job(**data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"path": "nowhere.csv"}, "nowhere.csv: No such file"),
        ({"path": "."}, "0 files named *.csv"),
        ({**GENERATED, "block_rows": 1 << 20, "alphabet": "ascii"}, "data.block_rows: 1048576 rows of 4480 inputs"),
        ({**GENERATED, "frozen": "nowhere.json"}, "nowhere.json: No such file"),
    ],
)
def test_impossible_files_are_said(data: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=re.escape(said)):
        model.plan(job(**data))


def test_nothing_is_written_for_a_table_that_is_wrong(tmp_path: Path) -> None:
    file, store = tmp_path / "wrong.csv", tmp_path / "store.zarr"
    file.write_text("size\n1\n2\n333\n")
    sets = [f"data.path={file}", "data.fields={size = 2}", "data.too_long=error"]
    toml = tmp_path / "wrong.toml"
    toml.write_text('kind = "encoding"\n')
    done = horseshoe("run", str(toml), *(part for one in sets for part in ("--set", one)), "--out", str(store))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"line 4 of data file {file}: '333' has more than 2 characters" in done.stderr
    assert not store.exists()
