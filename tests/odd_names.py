"""Names that break what is written and read carelessly."""

from __future__ import annotations

from hypothesis import strategies as st

_MARKS = [*"\n\r\t\"',;-. \\/ab\x1b\x85\u2028é日😀\ufeff", "\r\n", '""']
_OTHERS = st.characters(codec="utf-8", exclude_characters="\0")

# Not st.text, which draws such marks as rarely as any of a million others.
NAMES = st.lists(st.one_of(st.sampled_from(_MARKS), _OTHERS), max_size=8).map("".join)
