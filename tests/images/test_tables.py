"""Tables of pictures: every row is told, with what it names and what it carries."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import I2paError, UserInputError
from i2pa.images.tables import open_table
from odd_names import NAMES


def records(path, column=None, carry=()):
    return list(open_table(path, column, carry).records())


def test_empty_cells_and_short_rows_are_rows(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text('id,image,likes\n1,a.jpg,7\n2,,8\n3\n\n4,"b\r.jpg"\n5,c.jpg,9,more\n')
    found = records(table, carry=("id", "likes"))
    assert [(one.name, *one.carried) for one in found] == [
        ("a.jpg", "1", "7"),
        ("", "2", "8"),
        (None, "3", None),
        ("b\r.jpg", "4", None),
        ("c.jpg", "5", "9"),
    ]
    assert [one.fault for one in found] == [
        "",
        f"row 3 of {table} names no picture",
        f"row 4 of {table} names no picture",
        "",
        "",
    ]


def test_json_lines(tmp_path):
    table = tmp_path / "t.jsonl"
    lines = [
        '\ufeff{"id": 1}',
        '{"id": 2, "image": "a.jpg"}',
        "",
        '{"image": null, "id": [3, {"x": 4.5}]}',
        '{"image": 5}',
        "{half",
        '["a.jpg"]',
        '{"image": "b.jpg", "id": NaN}',
        '{"image": "\\ud83d\\ude00\\u0000.jpg", "id": "6"}',
    ]
    table.write_text("\n".join(lines), encoding="utf-8")
    found = records(table, carry=("id",))
    assert [(one.name, *one.carried) for one in found] == [
        (None, 1),
        ("a.jpg", 2),
        (None, [3, {"x": 4.5}]),
        (None, None),
        (None, None),
        (None, None),
        (None, None),
        ("\U0001f600\0.jpg", "6"),
    ]
    assert [one.fault for one in found] == [
        f"line 1 of {table} names no picture",
        "",
        f"line 4 of {table} names no picture",
        f"line 5 of {table} names its picture by something else than text",
        f"line 6 of {table} is no JSON object",
        f"line 7 of {table} is no JSON object",
        f"line 8 of {table} is no JSON object",
        "",
    ]
    assert [one.name for one in records(table, "id")][-1] == "6"
    with pytest.raises(UserInputError, match="no column 'no'; it has 'id', 'image'"):
        records(table, "no")
    with pytest.raises(UserInputError, match="no column 'no'"):
        records(table, carry=("no",))


def test_json_of_any_depth_is_one_broken_line(tmp_path):
    table = tmp_path / "t.ndjson"
    table.write_text("[" * 200_000 + '\n{"path": "a.jpg"}\n')
    assert [one.name for one in records(table)] == [None, "a.jpg"]


def test_parquet_of_every_kind_of_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    names = ["a.jpg", None, "", "a.jpg"]
    kinds = [
        pa.string(),
        pa.large_string(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ]
    for kind in kinds:
        table = tmp_path / "t.parquet"
        pq.write_table(pa.table({"image": pa.array(names).cast(kind)}), table)
        found = records(table)
        assert [one.name for one in found] == names
        assert [bool(one.fault) for one in found] == [False, True, True, False]
    pq.write_table(pa.table({"image": [None, None]}), table)
    assert [one.fault for one in records(table)] == [
        f"row {n} of {table} names no picture" for n in (1, 2)
    ]


def test_what_a_table_lacks_or_holds_twice_is_one_line(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = tmp_path / "t.parquet"
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["image", "image"])
    pq.write_table(twice, table)
    with pytest.raises(UserInputError, match=r"t\.parquet: has two columns 'image'"):
        open_table(table, None, ())
    pq.write_table(pa.table({"image": ["a"]}), table)
    with pytest.raises(UserInputError, match="no column 'id'; it has 'image'"):
        open_table(table, None, ("id",))


def test_parquet_that_breaks_off_is_one_line(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = tmp_path / "t.parquet"
    names = [f"{n}" * 20 for n in range(20_000)]
    pq.write_table(pa.table({"image": names}), table, compression="gzip", use_dictionary=False)
    data = bytearray(table.read_bytes())
    data[5000:6000] = bytes(1000)
    table.write_bytes(data)
    with pytest.raises(UserInputError, match=r"t\.parquet: cannot be read"):
        records(table)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1))
def test_cells_come_out_of_csv_and_json_lines_as_they_went_in(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("tables")
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([("id", "image"), *rows])
    text = "".join(json.dumps({"id": one, "image": name}) + "\n" for one, name in rows)
    (folder / "t.jsonl").write_text(text)
    for name in ("t.csv", "t.jsonl"):
        found = records(folder / name, carry=("id",))
        assert [(*one.carried, one.name) for one in found] == rows
        assert [bool(one.fault) for one in found] == [not name for _, name in rows]


def test_utf_16_is_named(tmp_path):
    for name, text in (("t.csv", "image\na.jpg\n"), ("t.jsonl", '{"image": "a.jpg"}\n')):
        for coding in ("utf-16", "utf-16-le", "utf-16-be"):
            (tmp_path / name).write_bytes(text.encode(coding))
            with pytest.raises(UserInputError, match=r"is UTF-16, .*; save it again as UTF-8"):
                open_table(tmp_path / name, None, ())


def test_an_empty_table_is_called_so(tmp_path):
    for name, text, says in (
        ("t.csv", "", "the table is empty; write a line of columns' names"),
        ("t.csv", "\na.jpg\n", "the first line names no column"),
        ("t.jsonl", "\n", "the table is empty; write a line a picture, such as {"),
        ("t.jsonl", "a.jpg\n", "no line is a JSON object with fields; write a line a picture"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(I2paError) as refused:
            open_table(tmp_path / name, None, ())
        assert says in str(refused.value)


def test_a_column_that_csv_has_twice_is_refused_where_it_is_asked_for(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("image,id,id\na.jpg,1,2\n")
    assert [one.name for one in records(table)] == ["a.jpg"]
    for column, carry in ((None, ("id",)), ("id", ())):
        with pytest.raises(UserInputError, match=r"has two columns 'id'; rename one"):
            open_table(table, column, carry)


def test_json_numbers_beyond_floats_are_null(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text(
        '{"image": "a.jpg", "id": [1e400, {"x": -1e999}, 1e3, 12345678901234567890]}\n'
    )
    (found,) = records(table, carry=("id",))
    assert found.carried == ([None, {"x": None}, 1000.0, 12345678901234567890],)
