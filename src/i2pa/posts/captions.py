"""What the pair rules need to know of a caption: its hashtags, its mentions, its words.

Text is folded by NFKC, then `casefold`. A hashtag is `#` and letters, marks, digits or `_`; a
mention is `@` and letters, digits, `_` or `.`; neither begins right after a letter or digit, which
keeps e-mail addresses out. What is left once both are blanked out counts as words: the tokens
between white space that hold a letter or digit. `parse_caption` is the definition, one caption in
plain Python; `caption_columns` says the same of a whole column. Reading and cleaning posts stay
out.
"""

from __future__ import annotations

import hashlib
import os
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

NO_KEY = 0
"""Key of the empty multiset: a caption without hashtags (or mentions), or no caption at all."""

MAX_COUNT = np.iinfo(np.int16).max

# What a character can be, as bits; a character is judged by what it folds to, so `＃` is a HASH.
_ALNUM, _MARK, _UNDERSCORE, _DOT, _HASH, _AT, _BLANK, _ODD = (1 << bit for bit in range(8))
_IN_TAG = _ALNUM | _MARK | _UNDERSCORE
_IN_MENTION = _ALNUM | _UNDERSCORE | _DOT
# Elsewhere Unicode has only private and unassigned characters, which fold to themselves.
_ASSIGNED = (*range(0x40000), *range(0xE0000, 0xE1000))
# Captions scanned at once: a few megabytes, which a core's cache holds.
_BATCH = 1 << 14

Codes = npt.NDArray[np.uint32]
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
    return re.compile(rf"(?<![^\W_])(?:#[\w{''.join(marks)}]+|@[\w.]+)")


def fold(text: str) -> str:
    """Text as captions are compared: NFKC, then `casefold`."""
    return unicodedata.normalize("NFKC", text).casefold()


def parse_caption(caption: str | None) -> CaptionFacts:
    """Hashtags, mentions and words of one caption, by definition."""
    text = fold(caption or "")
    found = sorted(_tag_or_mention().findall(text))
    left = _tag_or_mention().sub(" ", text)
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


@dataclass(frozen=True)
class _Characters:
    """Tables by code point: class bits, and the one character that stands for it when folded."""

    classes: Classes
    folded: Codes


@cache
def _characters() -> tuple[_Characters, _Characters]:
    """How to read text as written, and text that is folded already and must not be again."""
    written = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    already = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    itself = np.arange(sys.maxunicode + 1, dtype=np.uint32)
    folded = itself.copy()
    for code in _ASSIGNED:
        character = chr(code)
        already[code] = _class_of(character)
        normal = unicodedata.normalize("NFKC", character)
        image = normal.casefold()
        # A character that can merge with the one before it makes NFKC depend on its neighbours.
        merges = unicodedata.combining(normal[0]) or normal[0] in _seconds()
        if len(normal) != 1 or len(image) != 1 or merges:
            written[code] = _ODD
        else:
            written[code] = _class_of(image)
            folded[code] = ord(image)
    return _Characters(written, folded), _Characters(already, itself)


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
    """Hashtags (or mentions) found, folded, and the row of the caption that each is from."""

    texts: pa.Array
    rows: Places


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
    _characters()
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
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
    """Multiset keys of every caption; each distinct item is hashed once."""
    keys = np.full(n_captions, NO_KEY, dtype=np.uint64)
    texts = pa.chunked_array([part.texts for part in items], type=pa.large_string())
    encoded = texts.combine_chunks().dictionary_encode()
    of_item = np.array([item_key(item) for item in encoded.dictionary.to_pylist()], np.uint64)
    rows = np.concatenate([part.rows for part in items] or [np.zeros(0, np.int64)])
    np.add.at(keys, rows, of_item[encoded.indices.to_numpy()])
    return pa.array(keys)


def _scan(captions: pa.Array, first_row: int) -> list[_Found]:
    """Read one batch; characters that do not fold one to one send their caption to `fold`."""
    captions = captions.cast(pa.large_string()).fill_null("")
    as_written, folded_already = _characters()
    rows = np.arange(first_row, first_row + len(captions))
    codes, edges = _code_points(captions)
    odd_places = np.flatnonzero(as_written.classes[codes] & _ODD)
    if not odd_places.size:
        return [_find(codes, edges, rows, as_written)]
    is_odd = np.zeros(len(captions), dtype=bool)
    is_odd[np.searchsorted(edges, odd_places, side="right") - 1] = True
    plain = _code_points(captions.filter(pa.array(~is_odd)))
    folded = [fold(caption) for caption in captions.filter(pa.array(is_odd)).to_pylist()]
    odd = _code_points(pa.array(folded, pa.large_string()))
    return [
        _find(*plain, rows[~is_odd], as_written),
        _find(*odd, rows[is_odd], folded_already),
    ]


def _code_points(texts: pa.Array) -> tuple[Codes, Places]:
    """All characters of the texts in a row, and the n + 1 edges between the texts."""
    edges = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(texts) + 1]
    data = memoryview(texts.buffers()[2] or b"")[edges[0] : edges[-1]]
    edges = edges - edges[0]
    codes = np.frombuffer(str(data, "utf-8").encode("utf-32-le"), np.uint32)
    if codes.size != len(data):
        starts_character = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80
        edges = np.concatenate([[0], np.cumsum(starts_character)])[edges]
    return codes, edges


def _find(codes: Codes, edges: Places, rows: Places, characters: _Characters) -> _Found:
    """Items and words of captions laid end to end; caption i lies between edges i and i + 1."""
    classes = characters.classes[codes]

    def items(sigil: int, inside: int) -> tuple[_Items, Places]:
        starts = np.flatnonzero(classes == sigil)
        of_caption = np.searchsorted(edges, starts, side="right") - 1
        after_alnum = (starts > edges[of_caption]) & ((classes[starts - 1] & _ALNUM) > 0)
        starts, of_caption = starts[~after_alnum], of_caption[~after_alnum]
        stops = np.append(np.flatnonzero((classes & inside) == 0), codes.size)
        ends = stops[np.searchsorted(stops, starts, side="right")] if starts.size else starts
        ends = np.minimum(ends, edges[of_caption + 1])
        real = ends > starts + 1
        starts, lengths = starts[real], (ends - starts)[real]
        places = _ranges(starts, lengths)
        texts = _texts(characters.folded[codes[places]], lengths)
        return _Items(texts, rows[of_caption[real]]), places

    tags, tag_places = items(_HASH, _IN_TAG)
    mentions, mention_places = items(_AT, _IN_MENTION)
    classes[tag_places] = _BLANK
    classes[mention_places] = _BLANK
    return _Found(rows, _count_words(classes, edges), tags, mentions)


def _count_words(classes: Classes, edges: Places) -> Places:
    """Tokens between blanks (or edges) that hold a letter or digit, caption by caption."""
    is_blank = classes == _BLANK
    begins = ~is_blank
    begins[1:] &= is_blank[:-1]
    firsts = edges[:-1][edges[:-1] < classes.size]
    begins[firsts] = ~is_blank[firsts]
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


def _texts(codes: Codes, lengths: Places) -> pa.Array:
    """Cut characters laid end to end into texts of the given lengths (large_string)."""
    data = codes.tobytes().decode("utf-32-le").encode()
    n_bytes = 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)
    edges = np.concatenate([[0], np.cumsum(n_bytes)])[np.concatenate([[0], np.cumsum(lengths)])]
    return pa.LargeStringArray.from_buffers(
        len(lengths), pa.py_buffer(edges.astype(np.int64)), pa.py_buffer(data)
    )
