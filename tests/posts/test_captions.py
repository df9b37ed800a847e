"""Hashtags, mentions and words: the fast path says what the definition says."""

from __future__ import annotations

import sys
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.posts.captions import MAX_COUNT, NO_KEY, caption_columns, multiset_key, parse_caption

# Unicode grows: a character that this Python does not know yet may be known to Arrow.
known = st.characters(exclude_categories=["Cs", "Cn"])
marks = ["\u0301", "\ufe0f", "\u20e3", "3\ufe0f\u20e3", "#\ufe0f\u20e3"]
tricky = st.sampled_from([*"#@_.- \n\0aß9＃＠", "…", *marks, "é", "日", "İ", "ﬀ", "ς"])
captions = st.one_of(st.none(), st.lists(tricky).map("".join), st.text(known))


def facts(texts: list[str | None]) -> list[tuple[int, int, int]]:
    found = caption_columns(pa.array(texts, pa.string()))
    columns = (found.tags_key, found.mentions_key, found.caption_words)
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def by_definition(text: str | None) -> tuple[int, int, int]:
    parsed = parse_caption(text)
    return multiset_key(parsed.tags), multiset_key(parsed.mentions), parsed.words


@settings(deadline=None)  # the first call builds tables of all characters
@given(st.lists(captions, max_size=20))
def test_columns_equal_the_definition(texts: list[str | None]) -> None:
    assert facts(texts) == [by_definition(text) for text in texts]


def test_columns_equal_the_definition_for_every_character() -> None:
    characters = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co")
    ]
    texts = [f"#x{c}y a{c}b@{c}z{c}#q" for c in characters]
    wrong = [t for t, got in zip(texts, facts(texts), strict=True) if got != by_definition(t)]
    assert wrong == []


@pytest.mark.parametrize(
    ("caption", "tags", "mentions", "words"),
    [
        (None, (), (), 0),
        ("", (), (), 0),
        ("Sunset in Rome!", (), (), 3),
        ("#Été #日本 ciao", ("#été", "#日本"), (), 1),
        ("＃ＴＡＧ", ("#tag",), (), 0),
        ("#b #a #b", ("#a", "#b", "#b"), (), 0),
        ("with @some.one_1, me@mail.com", (), ("@some.one_1",), 2),
        ("#a_#b ❤️#c", ("#a_", "#b", "#c"), (), 0),
        ("#straße #STRASSE", ("#strasse", "#strasse"), (), 0),
        ("a - b … 😍 7", (), (), 3),
        ("# @ ##", (), (), 0),
        ("3️⃣ 1⃣ ３⃣ *️⃣ 🔟", (), (), 0),
        ("#️⃣ #⃣ #️⃣a ##️⃣", (), (), 1),
        ("a3️⃣ 12️⃣ 3️⃣#c3️⃣ @d3️⃣ x", ("#c3️⃣",), ("@d3",), 3),
    ],
)
def test_what_a_caption_holds(
    caption: str | None, tags: tuple[str, ...], mentions: tuple[str, ...], words: int
) -> None:
    found = parse_caption(caption)
    assert (found.tags, found.mentions, found.words) == (tags, mentions, words)
    assert facts([caption]) == [by_definition(caption)]


def test_keys_are_stable_and_know_repeats_but_no_order() -> None:
    assert multiset_key([]) == NO_KEY
    assert multiset_key(["#a", "#b"]) == multiset_key(["#b", "#a"]) != multiset_key(["#a"])
    assert multiset_key(["#a", "#a"]) != multiset_key(["#a"])
    # Written into files: a change breaks every posts.parquet there is.
    assert multiset_key(["#love"]) == GOLDEN_LOVE


GOLDEN_LOVE = 17389629641783128139


def test_batches_chunks_and_slices_keep_their_order() -> None:
    texts: list[str | None] = [f"#t{i} {'w ' * (i % 5)}…" if i % 3 else None for i in range(20_000)]
    whole = pa.chunked_array([pa.array(texts[:7]), pa.array(texts[7:])])
    found = caption_columns(whole.slice(3), threads=2)
    assert found.tags_key.to_pylist() == [by_definition(t)[0] for t in texts[3:]]
    assert found.caption_words.to_pylist() == [by_definition(t)[2] for t in texts[3:]]


def test_items_are_counted_with_their_repeats() -> None:
    texts = ["#a #b #a", "@x", None, "#Été @y @y"]
    found = caption_columns(pa.array(texts))
    assert found.tags.to_pylist() == [3, 0, 0, 1]
    assert found.mentions.to_pylist() == [0, 1, 0, 2]


def test_very_long_captions_saturate() -> None:
    assert facts(["w " * 40_000])[0][2] == MAX_COUNT


def test_long_items_wide_sigils_and_characters_of_every_length() -> None:
    texts = [
        "#" + "long" * 50 + " #" + "日" * 90 + "é",
        "＃wide ＠wide.too ﹟small ﹫small",
        "a😍#tag😍 𝒜#no 𝒜 #𝒜bc #ßtraße",
        "#e\u0301te\u0301 #été",
        "#",
        "##a #@b @#c @",
        "x@no.org #a#b @a@b",
    ]
    assert facts(texts) == [by_definition(text) for text in texts]
