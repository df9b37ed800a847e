"""CSV is read whole or refused: no quote left open takes rows away."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import UserInputError
from i2pa.images.separated import separated_rows


def rows_of(text, where="t.csv"):
    return list(separated_rows(io.StringIO(text, newline=""), where))


HEAD = 'id,image,says\n1,a.jpg,"two\nlines, and ""more"""\n'


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ('2,b.jpg,"oops\n' + "3,c.jpg,x\n" * 5000, 4),
        ('2,b.jpg,x\n3,"c.jpg,x\n4,d.jpg,x\n', 5),
        ('2,b.jpg,"oops', 4),
        ('2,b.jpg,"', 4),
        ('2,b.jpg,x\n3,c.jpg,"\r\n4,d.jpg,x\r\n', 5),
        # The next quote would close it, with a row inside.
        ('2,b.jpg,"oops\n3,c.jpg,"fine"\n4,d.jpg,"fine"\n', 4),
        # Within one row, after a cell of two lines that is sound.
        ('2,"b\n.jpg","oops\n3,c.jpg,x\n', 5),
        ('2,b.jpg,"oops\n' + "3,c.jpg,x\n" * 200_000, 4),
    ],
)
def test_a_quote_left_open_is_refused_by_its_line(rest, line):
    with pytest.raises(UserInputError, match=rf"t\.csv: line {line}: a quote is left open") as one:
        rows_of(HEAD + rest)
    assert "close it, or write" in one.value.remedy
    assert len(str(one.value)) < 300


def test_a_cell_that_is_too_long_is_no_open_quote():
    with pytest.raises(UserInputError, match="line 4 cannot be read"):
        rows_of(HEAD + "2,b.jpg," + "x" * (1 << 26) + "\n")


def test_quotes_inside_bare_cells_and_after_quoted_ones_are_text():
    text = 'image,says\na.jpg,5" wide\nb.jpg,"so" called\n"c.jpg" ,x\n'
    assert rows_of(text) == list(csv.reader(io.StringIO(text)))


CELLS = st.text(st.sampled_from('a",;\n\r\t "'), max_size=6)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=6), st.data())
def test_what_is_sound_is_read_and_what_is_cut_in_a_quote_is_refused(rows, data):
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["image", "x"], *rows])
    text = file.getvalue()
    assert rows_of(text) == [["image", "x"], *rows]
    cut = text[: data.draw(st.integers(len('"image","x"\r\n'), len(text)))]
    # A cut between two quotes of a doubled one leaves what is sound.
    if re.fullmatch(r'(?s)(?:[^"]|"(?:[^"]|"")*")*', cut):
        rows_of(cut)
    else:
        with pytest.raises(UserInputError, match="a quote is left open"):
            rows_of(cut)
