"""Tables and their fixed-width characters: round trips, missing values, controls, and files that are not to be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.errors import RequestError
from networks.data import fixed_width, sources, tables
from networks.data.fixed_width import ASCII, DIGITS, Field, FixedWidth

# The rows that the text prints, with its header
PRINTED = """Market,Order Made,Store Number,Cost,Total Deliverers,Busy Deliverers,Total Orders,Estimated Transit Time,\
Linear Estimation,Elapsed Time
1,2015-02-06 22:24:17,1845,3441,33,14,21,861,3218,3779
2,2015-02-10 21:49:25,5477,1900,1,2,2,690,2818,4024
3,2015-01-22 20:39:28,5477,1900,1,0,0,690,3090,1781
3,2015-02-03 21:21:45,5477,6900,1,1,2,289,2623,3075
"""
CUT = FixedWidth(tables.DELIVERIES, too_long="cut")
WHOLE = FixedWidth(tuple(Field(one.name, 19) if one.name == "Order Made" else one for one in tables.DELIVERIES))
TARGET = "Elapsed Time"
NAMES = [field.name for field in tables.DELIVERIES]


@pytest.fixture
def printed(tmp_path: Path) -> tables.Table:
    file = tmp_path / "printed.csv"
    file.write_text(PRINTED)
    return tables.read(file)


def test_the_printed_rows(printed: tables.Table) -> None:
    """35 characters and 525 inputs, as in the text."""
    assert len(printed) == 4
    assert CUT.num_characters == 35
    assert CUT.dimension == 15 * sum(field.width for field in tables.DELIVERIES) == 525
    codes = CUT.encode(printed.rows(NAMES))
    line = "".join(DIGITS[code] for code in codes[0])
    assert line == "184512015-02-_3441_33_14_21_8613218"
    vectors = CUT.one_hot(codes)
    assert vectors.shape == (4, 35, 15)
    assert (vectors.sum(-1) == 1).all()
    assert (vectors.argmax(-1) == codes).all()


def test_rows_come_back(printed: tables.Table) -> None:
    rows = printed.rows(NAMES)
    assert WHOLE.decode(WHOLE.encode(rows)) == [list(row) for row in rows]
    shortened = [[value[: field.width] for value, field in zip(row, tables.DELIVERIES, strict=True)] for row in rows]
    assert CUT.decode(CUT.encode(rows)) == shortened


VALUE = st.text(st.sampled_from(DIGITS), max_size=6).filter(lambda value: not value.startswith("_"))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE, VALUE), min_size=1, max_size=5))
def test_any_rows_come_back(rows: list[tuple[str, str, str]]) -> None:
    encoding = FixedWidth((Field("a", 6), Field("b", 7), Field("c", 9)))
    codes = encoding.encode(rows)
    assert codes.shape == (len(rows), 22)
    assert encoding.decode(codes) == [list(row) for row in rows]


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(max_codepoint=127), max_size=8).filter(lambda value: not value.startswith("_")))
def test_any_ascii_comes_back(value: str) -> None:
    encoding = FixedWidth((Field("a", 8),), alphabet=ASCII)
    assert encoding.dimension == 8 * 128
    assert encoding.decode(encoding.encode([(value,)])) == [[value]]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_value_changes_its_own_places(name: str, printed: tables.Table) -> None:
    row = list(printed.rows(NAMES)[0])
    without = [("" if one == name else value) for one, value in zip(NAMES, row, strict=True)]
    there, missing = CUT.encode([row])[0], CUT.encode([without])[0]
    place = CUT.places[name]
    assert (missing[place] == DIGITS.index("_")).all()
    assert (np.delete(there, np.r_[place]) == np.delete(missing, np.r_[place])).all()
    assert (there != missing).any()
    # As vectors, too
    changed = np.flatnonzero((CUT.one_hot(there) != CUT.one_hot(missing)).any(-1))
    assert changed.min() >= place.start
    assert changed.max() < place.stop


def test_compact_rows_have_no_fixed_places() -> None:
    encoding = FixedWidth((Field("a", 3), Field("b", 3)))
    codes, lengths = encoding.compact(encoding.encode([("12", "345"), ("", "345")]))
    assert ["".join(DIGITS[code] for code in row) for row in codes] == ["12345_", "345___"]
    assert lengths.tolist() == [5, 3]


def test_cutting_is_ambiguous_as_in_the_text() -> None:
    four = FixedWidth((Field("Cost", 4),), too_long="cut")
    assert (four.encode([("13400",)]) == four.encode([("1340",)])).all()
    five = FixedWidth((Field("Cost", 5),), too_long="cut")
    assert (five.encode([("13400",)]) != five.encode([("1340",)])).any()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("12345", "more than 4 characters"),
        ("1x", "'x' is not in the alphabet"),
        ("_1", "means missing"),
        ("é", "alphabet"),
    ],
)
def test_what_cannot_be_encoded_is_said(value: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        FixedWidth((Field("Cost", 4),)).encode([("1",), (value,)])
    assert "column 'Cost', row 2" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "alphabet"),
    [
        ((), DIGITS),
        ((Field("a", 0),), DIGITS),
        ((Field("a", 1 << 17),), DIGITS),
        ((Field("a", 1), Field("a", 2)), DIGITS),
        ((Field("a", 1),), "0123"),
        ((Field("a", 1),), "00_"),
        ((Field("a", 1),), "".join(map(chr, range(300)))),
    ],
)
def test_impossible_encodings_are_refused(fields: tuple[Field, ...], alphabet: str) -> None:
    with pytest.raises(RequestError):
        FixedWidth(fields, alphabet)


@pytest.mark.parametrize("encoding", [CUT, WHOLE, FixedWidth((Field("a b", 3),), alphabet=ASCII)])
def test_a_frozen_encoding_is_the_same(encoding: FixedWidth, tmp_path: Path) -> None:
    file = tmp_path / "encoding.json"
    file.write_bytes(encoding.freeze())
    assert fixed_width.load(file) == encoding
    assert fixed_width.load(file).freeze() == file.read_bytes()


FORM = json.loads(CUT.freeze())


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"kind": "words"},
        {"more": 1},
        {"fields": {}},
        {"fields": [["a"]]},
        {"fields": [["a", True]]},
        {"fields": [["a", 1e300]]},
        {"fields": [[1, 1]]},
        {"fields": [["a", 10**30]]},
        {"alphabet": 7},
        {"alphabet": ""},
        {"too_long": "wrap"},
    ],
)
def test_hostile_encodings_are_refused_in_one_line(change: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "encoding.json"
    file.write_text(json.dumps({**FORM, **change}))
    with pytest.raises(RequestError) as caught:
        fixed_width.load(file)
    assert "\n" not in str(caught.value)


def test_generated_and_own_tables_go_the_same_way(tmp_path: Path) -> None:
    made = sources.generated("deliveries", 300)
    own = tmp_path / "mine.csv"
    own.write_bytes(b"\xef\xbb\xbf" + (made / "deliveries.csv").read_bytes().replace(b"\n", b"\r\n"))
    one, other = (tables.encode(tables.read(path), CUT, TARGET) for path in (made, own))
    assert (one.codes == other.codes).all()
    assert (one.target == other.target).all()
    assert (one.train == other.train).all()


def test_rows_are_split_once() -> None:
    table = tables.read(sources.generated("deliveries", 500))
    found = tables.encode(table, CUT, TARGET)
    assert (len(found.train), len(found.valid), found.dropped) == (400, 100, 0)
    assert sorted([*found.train, *found.valid]) == list(range(500))
    again = tables.encode(table, CUT, TARGET, seed=1)
    assert (again.train != found.train).any()
    assert found.target[7] == float(table.text(TARGET)[7])


def test_a_target_may_be_computed(printed: tables.Table, tmp_path: Path) -> None:
    """The controls of the text: ten times the deliverers, and the cost times the busy ones."""
    found = tables.encode(printed, CUT, lambda columns: 10 * columns["Total Deliverers"])
    assert found.target.tolist() == [330, 10, 10, 10]
    product = tables.encode(printed, CUT, lambda columns: columns["Cost"] / 100 * columns["Busy Deliverers"])
    assert product.target.tolist() == [pytest.approx(481.74), 38, 0, 69]
    assert "Order Made" not in printed.numbers
    missing = tmp_path / "missing.csv"
    missing.write_text(PRINTED.replace(",33,", ",NaN,").replace(",1,2,2,", ",(null),2,2,"))
    dropped = tables.encode(tables.read(missing), CUT, lambda columns: 10 * columns["Total Deliverers"])
    assert (dropped.dropped, dropped.target.tolist()) == (2, [10, 10])


def test_a_limit_keeps_the_first_rows(printed: tables.Table) -> None:
    assert tables.read(printed.path, limit_rows=2).text("Market") == ("1", "2")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a header"),
        (b"a,a\n1,2\n", "not a header"),
        (b"a,\n1,2\n", "not a header"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n3\n", "line 3: 1 values"),
        (b'a,b\n1,"2\n', "line 2"),
        (b"a,b\n1,\xff\n", "UTF-8"),
        (b"a\n" + b"1" * 2000 + b"\n", "more than 1000 characters"),
        (b"a\n" + b"1" * 200_000 + b"\n", "line 2"),
    ],
)
def test_bad_tables_are_said(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(content)
    with pytest.raises(RequestError, match=said) as caught:
        tables.read(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_columns_are_said(printed: tables.Table, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="did you mean 'Market'"):
        printed.text("Markt")
    with pytest.raises(RequestError, match="holds no numbers"):
        tables.encode(printed, CUT, "Order Made")
    with pytest.raises(RequestError, match="4 rows, too few to hold some back"):
        tables.encode(printed, CUT, "Elapsed Time", train_share=1.0)
    with pytest.raises(RequestError, match=r"0 files named"):
        tables.read(Path(__file__).parent)
    with (tmp_path / "large.csv").open("wb") as out:
        out.truncate(tables.LARGEST_BYTES + 1)
    with pytest.raises(RequestError, match="at most"):
        tables.read(tmp_path / "large.csv")
