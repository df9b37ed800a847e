"""What the pair rules need to know of a caption: its hashtags, its mentions, its words.

Text is folded by NFKC, then `casefold`. A hashtag is `#` and letters, marks, digits or `_`; a
mention is `@` and letters, digits, `_` or `.`; neither begins right after a letter or digit, which
keeps e-mail addresses out. What is left once both are blanked out counts as words: the tokens
between white space that hold a letter or digit. A keycap (`3️⃣`, `#️⃣`) is an emoji: what it encloses
is neither word nor sigil. `parse_caption` is the definition, one caption in plain Python;
`caption_columns` says the same of a whole column. Reading and cleaning posts stay out.
"""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.cores import usable_cores

NO_KEY = 0
"""Key of the empty multiset: a caption without hashtags (or mentions), or no caption at all."""

MAX_COUNT = np.iinfo(np.int16).max

# What a character can be, as bits; a character is judged by what it folds to, so `＃` is a HASH.
_ALNUM, _MARK, _UNDERSCORE, _DOT, _HASH, _AT, _BLANK, _ODD = (1 << bit for bit in range(8))
_UNMET = 0xFF
_KEYCAP, _EMOJI_STYLE = "\u20e3", "\ufe0f"
# First bytes of a character in UTF-8: from here on of two bytes, of three, of four.
_LEADS = (0xC0, 0xE0, 0xF0)
_IN_TAG = _ALNUM | _MARK | _UNDERSCORE
_IN_MENTION = _ALNUM | _UNDERSCORE | _DOT
# Elsewhere Unicode has only private and unassigned characters, which fold to themselves.
_ASSIGNED = (*range(0x40000), *range(0xE0000, 0xE1000))
# Captions scanned at once: a few hundred kilobytes, which a core's cache holds.
_BATCH = 1 << 13
# Longer hashtags are not met character by character.
_LONG_ITEM = 64

Bytes = npt.NDArray[np.uint8]
Classes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CaptionFacts:
    """Sorted multisets of hashtags and mentions, sigils included, and the count of other words."""

    tags: tuple[str, ...]
    mentions: tuple[str, ...]
    words: int


@dataclass(frozen=True)
class CaptionColumns:
    """One value a caption: uint64 keys and int16 counts, none of them null."""

    tags_key: pa.Array
    mentions_key: pa.Array
    tags: pa.Array
    mentions: pa.Array
    caption_words: pa.Array


@cache
def _tag_or_mention() -> re.Pattern[str]:
    """Python's `re` has no class of marks, so it is spelt out."""
    marks = (chr(c) for c in _ASSIGNED if unicodedata.category(chr(c))[0] == "M")
    tag = rf"#(?!{_EMOJI_STYLE}?{_KEYCAP})[\w{''.join(marks)}]+"
    return re.compile(rf"(?<![^\W_])(?:{tag}|@[\w.]+)")


def fold(text: str) -> str:
    """Text as captions are compared: NFKC, then `casefold`."""
    return unicodedata.normalize("NFKC", text).casefold()


def parse_caption(caption: str | None) -> CaptionFacts:
    """Hashtags, mentions and words of one caption, by definition."""
    text = fold(caption or "")
    found = sorted(_tag_or_mention().findall(text))
    left = re.sub(f"[0-9]{_EMOJI_STYLE}?{_KEYCAP}", "", _tag_or_mention().sub(" ", text))
    return CaptionFacts(
        tags=tuple(item for item in found if item[0] == "#"),
        mentions=tuple(item for item in found if item[0] == "@"),
        words=sum(any(c.isalnum() for c in token) for token in left.split()),
    )


def item_key(item: str) -> int:
    """BLAKE2b of one folded hashtag or mention, sigil included: 64 bits, little-endian."""
    return int.from_bytes(hashlib.blake2b(item.encode(), digest_size=8).digest(), "little")


def multiset_key(items: Iterable[str]) -> int:
    """Key of a multiset of hashtags or mentions: the sum of their keys modulo 2^64.

    A sum knows no order but counts repeats, so it needs no sorting. Guards against accident,
    not attack.
    """
    return sum(map(item_key, items)) % 2**64


class _Characters:
    """Class bits of characters, worked out as they are met: Unicode has many, captions few.

    `folded_already`: of text that is folded and must not be again.
    """

    def __init__(self, *, folded_already: bool) -> None:
        self.folded_already = folded_already
        self._known = np.full(sys.maxunicode + 1, _UNMET, dtype=np.uint8)
        self._ascii = self._of(np.arange(0x80))

    def classes(self, text: Bytes) -> Classes:
        """The class of each byte of text in UTF-8: that of the character it is part of."""
        # Bytes above ASCII are overwritten below.
        classes = np.append(self._ascii, np.zeros(0x80, np.uint8))[text]
        leads = np.flatnonzero(text >= _LEADS[0])
        if leads.size:
            first = text[leads]
            width = _widths(first)
            codes = first.astype(np.int32) & (0x7F >> width)
            for n in (1, 2, 3):
                longer = np.flatnonzero(width > n)
                codes[longer] = codes[longer] << 6 | (text[leads[longer] + n] & 0x3F)
            of_code = self._of(codes)
            classes[leads] = of_code
            for n in (1, 2, 3):
                longer = np.flatnonzero(width > n)
                classes[leads[longer] + n] = of_code[longer]
            _empty_keycaps(text, classes, leads[codes == ord(_KEYCAP)])
        return classes

    def _of(self, codes: npt.NDArray[np.integer]) -> Classes:
        found: Classes = self._known[codes]
        unmet = codes[found == _UNMET]
        if unmet.size:
            for code in np.unique(unmet).tolist():
                self._known[code] = self._folded_class(chr(code))
            found = self._known[codes]
        return found

    def _folded_class(self, character: str) -> int:
        if self.folded_already:
            return _class_of(character)
        normal = unicodedata.normalize("NFKC", character)
        image = normal.casefold()
        # A character that can merge with the one before it makes NFKC depend on its neighbours.
        merges = unicodedata.combining(normal[0]) or normal[0] in _seconds()
        return _ODD if len(normal) != 1 or len(image) != 1 or merges else _class_of(image)


def _empty_keycaps(text: Bytes, classes: Classes, caps: Places) -> None:
    """Let what keycaps enclose be no letter or digit, and no sigil."""
    style = np.frombuffer(_EMOJI_STYLE.encode(), np.uint8)
    styled = (text[caps[:, None] - range(style.size, 0, -1)] == style).all(axis=1)
    # Before the first character comes, as it were, the blank after the last caption.
    inside = caps - 1 - style.size * styled
    enclosed = text[inside]
    digits = (enclosed >= ord("0")) & (enclosed <= ord("9"))
    # In a hashtag or mention they stay what they are.
    classes[inside[digits]] = _UNDERSCORE
    classes[inside[enclosed == ord("#")]] = 0
    # Other characters may fold into such: folding tells.
    classes[caps[enclosed >= 0x80]] |= _ODD


@cache
def _characters(*, folded_already: bool) -> _Characters:
    return _Characters(folded_already=folded_already)


@cache
def _seconds() -> frozenset[str]:
    """Characters that canonical composition may merge into the one before them."""
    hangul_vowels_and_finals = map(chr, range(0x1160, 0x1200))
    decompositions = (unicodedata.decomposition(chr(c)) for c in _ASSIGNED)
    pairs = (d.split() for d in decompositions if d and d[0] != "<")
    return frozenset(chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2).union(
        hangul_vowels_and_finals
    )


def _class_of(character: str) -> int:
    if character.isalnum():
        return _ALNUM
    if character.isspace():
        return _BLANK
    if unicodedata.category(character)[0] == "M":
        return _MARK
    return {"_": _UNDERSCORE, ".": _DOT, "#": _HASH, "@": _AT}.get(character, 0)


@dataclass(frozen=True)
class _Items:
    """Hashtags (or mentions) as found, folded or not, and the row of the caption of each."""

    texts: pa.Array
    rows: Places
    folded: bool


@dataclass(frozen=True)
class _Found:
    """What some captions hold: their rows, the words of each, and all their items."""

    rows: Places
    words: Places
    tags: _Items
    mentions: _Items


def caption_columns(
    captions: pa.ChunkedArray | pa.Array, *, threads: int | None = None
) -> CaptionColumns:
    """The keys and word counts of a column of captions (string, nulls allowed), in its order."""
    chunks = captions.chunks if isinstance(captions, pa.ChunkedArray) else [captions]
    batches = [
        chunk.slice(start, _BATCH) for chunk in chunks for start in range(0, len(chunk), _BATCH)
    ]
    firsts = np.cumsum([0, *map(len, batches)])[:-1].tolist()
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        found = [part for parts in pool.map(_scan, batches, firsts) for part in parts]
    words = np.zeros(len(captions), dtype=np.int16)
    for part in found:
        words[part.rows] = np.minimum(part.words, MAX_COUNT)
    tags, mentions = [part.tags for part in found], [part.mentions for part in found]
    n = len(captions)
    return CaptionColumns(
        tags_key=_keys(tags, n),
        mentions_key=_keys(mentions, n),
        tags=_counts(tags, n),
        mentions=_counts(mentions, n),
        caption_words=pa.array(words),
    )


def _counts(items: list[_Items], n_captions: int) -> pa.Array:
    """How many items every caption has."""
    rows = np.concatenate([part.rows for part in items] or [np.zeros(0, np.int64)])
    counts = np.bincount(rows, minlength=n_captions)
    return pa.array(np.minimum(counts, MAX_COUNT).astype(np.int16))


def _keys(items: list[_Items], n_captions: int) -> pa.Array:
    """Multiset keys of every caption; each distinct item is folded and hashed once."""
    keys = np.full(n_captions, NO_KEY, dtype=np.uint64)
    for folded in (False, True):
        parts = [part for part in items if part.folded == folded and len(part.texts)]
        if not parts:
            continue
        encoded = pa.concat_arrays([part.texts for part in parts]).dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        of_item = [item_key(item if folded else fold(item)) for item in distinct]
        rows = np.concatenate([part.rows for part in parts])
        np.add.at(keys, rows, np.array(of_item, np.uint64)[encoded.indices.to_numpy()])
    return pa.array(keys)


def _scan(captions: pa.Array, first_row: int) -> list[_Found]:
    """Read one batch; characters that do not fold one to one send their caption to `fold`."""
    captions = captions.cast(pa.large_string())
    rows = np.flatnonzero(pc.fill_null(pc.binary_length(captions), 0).to_numpy())
    captions = captions.take(pa.array(rows))
    rows = rows + first_row
    as_written = _characters(folded_already=False)
    text, edges = _end_to_end(captions)
    classes = as_written.classes(text)
    odd_places = np.flatnonzero(classes & _ODD)
    if not odd_places.size:
        return [_find(text, classes, edges, rows, folded=False)]
    is_odd = np.zeros(len(captions), dtype=bool)
    is_odd[np.searchsorted(edges, odd_places, side="right") - 1] = True
    odd, plain = np.flatnonzero(is_odd), np.flatnonzero(~is_odd)
    folded = [fold(caption) for caption in captions.take(pa.array(odd)).to_pylist()]
    kinds = [
        (captions.take(pa.array(plain)), plain, as_written),
        (pa.array(folded, pa.large_string()), odd, _characters(folded_already=True)),
    ]
    found = []
    for texts, places, characters in kinds:
        text, edges = _end_to_end(texts)
        classes = characters.classes(text)
        found.append(_find(text, classes, edges, rows[places], folded=characters.folded_already))
    return found


def _end_to_end(texts: pa.Array) -> tuple[Bytes, Places]:
    """The bytes of texts (large_string, no nulls), a blank after each, and their edges."""
    blank, nothing = (pa.scalar(s, pa.large_string()) for s in ("\n", ""))
    apart = pc.binary_join_element_wise(texts, blank, nothing)
    edges = np.frombuffer(apart.buffers()[1], np.int64)[: len(apart) + 1]
    return np.frombuffer(apart.buffers()[2] or b"", np.uint8)[: edges[-1]], edges


def _find(text: Bytes, classes: Classes, edges: Places, rows: Places, *, folded: bool) -> _Found:
    """Items and words of captions laid end to end; caption i lies between edges i and i + 1."""

    def items(sigil: int, inside: int) -> tuple[_Items, Places]:
        starts = np.flatnonzero(classes == sigil)
        # A full-width sigil is three bytes, all of its class.
        starts = starts[(text[starts] & 0xC0) != 0x80]
        # Before the first caption comes, as it were, the blank after the last.
        starts = starts[(classes[starts - 1] & _ALNUM) == 0]
        width = _widths(text[starts])
        lengths = _run_ends(classes, starts + width, inside) - starts
        named = lengths > width
        starts, lengths = starts[named], lengths[named]
        places = _ranges(starts, lengths)
        of_caption = np.searchsorted(edges, starts, side="right") - 1
        return _Items(_texts(text[places], lengths), rows[of_caption], folded), places

    tags, tag_places = items(_HASH, _IN_TAG)
    mentions, mention_places = items(_AT, _IN_MENTION)
    classes[tag_places] = _BLANK
    classes[mention_places] = _BLANK
    return _Found(rows, _count_words(classes, edges), tags, mentions)


def _widths(first: Bytes) -> Places:
    """How many bytes characters take, by their first."""
    two, three, four = (first >= lead for lead in _LEADS)
    return 1 + two.astype(np.int64) + three + four


def _run_ends(classes: Classes, starts: Places, inside: int) -> Places:
    """Where the characters of the classes `inside` that begin at each start come to an end."""
    ends = starts.copy()
    growing = np.arange(starts.size)
    for _ in range(_LONG_ITEM):
        growing = growing[(classes[ends[growing]] & inside) > 0]
        if not growing.size:
            return ends
        ends[growing] += 1
    stops = np.flatnonzero((classes & inside) == 0)
    ends[growing] = stops[np.searchsorted(stops, ends[growing])]
    return ends


def _count_words(classes: Classes, edges: Places) -> Places:
    """Tokens between blanks that hold a letter or digit, caption by caption."""
    is_blank = classes == _BLANK
    begins = ~is_blank
    begins[1:] &= is_blank[:-1]
    tokens = np.flatnonzero(begins)
    if not tokens.size:
        return np.zeros(len(edges) - 1, dtype=np.int64)
    words = tokens[(np.bitwise_or.reduceat(classes, tokens) & _ALNUM) > 0]
    return np.diff(np.searchsorted(words, edges))


def _ranges(starts: Places, lengths: Places) -> Places:
    """All places in the ranges that begin at `starts`, end to end."""
    skipped = np.cumsum(lengths) - lengths
    places: Places = np.arange(lengths.sum()) + np.repeat(starts - skipped, lengths)
    return places


def _texts(data: Bytes, lengths: Places) -> pa.Array:
    """Cut bytes laid end to end into texts of the given lengths (large_string)."""
    edges = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(len(lengths), pa.py_buffer(edges), pa.py_buffer(data))
