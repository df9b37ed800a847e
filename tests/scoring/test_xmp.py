"""The rating in a sidecar changes, and nothing else: samples in the shape that programs write."""

from __future__ import annotations

import contextlib
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import DataError
from i2pa.scoring.xmp import RDF, XMP, new_sidecar, rating_of, with_rating

LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
   xmp:ModifyDate="2026-05-01T10:00:00+02:00"
   xmp:Rating="3"
   xmp:Label="it's > all"
   crs:Exposure2012="+0.35"
   crs:ToneCurveName2012='Linear "x"'>
   <xmpMM:History>
    <rdf:Seq>
     <rdf:li stEvt:action="saved" stEvt:softwareAgent="Adobe Photoshop Lightroom Classic"/>
    </rdf:Seq>
   </xmpMM:History>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
   exif:DateTimeOriginal="2026:05:01 10:00:00.000"
   xmp:Rating="1"
   darktable:xmp_version="5"
   darktable:history_end="1">
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="exposure"
      darktable:params="gz09eJxjZGBgYARiCQYYOOHEgAYY0QUAhPgCvg=="/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

DIGIKAM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
   digiKam:PickLabel="0"
   MicrosoftPhoto:Rating="50"
   xmp:Rating="3">
   <digiKam:TagsList><rdf:Seq><rdf:li>Été/日本</rdf:li></rdf:Seq></digiKam:TagsList>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""

CAPTURE_ONE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 5.5.0">
   <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:Description rdf:about=""
            xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">
         <photoshop:Urgency>1</photoshop:Urgency>
      </rdf:Description>
      <rdf:Description rdf:about=""
            xmlns:xap="http://ns.adobe.com/xap/1.0/">
         <xap:Rating>3</xap:Rating>
         <xap:Label>Red</xap:Label>
      </rdf:Description>
   </rdf:RDF>
</x:xmpmeta>"""

SAMPLES = {
    "lightroom": LIGHTROOM,
    "darktable": DARKTABLE,
    "digikam": DIGIKAM,
    "capture one": CAPTURE_ONE,
}
WITH_RATING = f"{{{XMP}}}Rating"


def tree_without_rating(data: bytes) -> list[object]:
    """Every element, attribute and text of a sidecar but the top-level rating's."""

    def flat(node: ElementTree.Element, top: bool) -> list[object]:
        attributes = {k: v for k, v in node.attrib.items() if not (top and k == WITH_RATING)}
        inside: list[object] = [node.tag, sorted(attributes.items()), node.text, node.tail]
        for child in node:
            if not (top and child.tag == WITH_RATING):
                below = node.tag == f"{{{RDF}}}RDF" and child.tag == f"{{{RDF}}}Description"
                inside.append(flat(child, below))
        return inside

    return flat(ElementTree.fromstring(data), False)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "crlf"])
def test_only_the_digit_changes(name: str, encoding: str) -> None:
    text = SAMPLES[name]
    if encoding == "crlf":
        text, encoding = text.replace("\n", "\r\n"), "utf-8"
    if encoding == "utf-16":
        text = text.replace("UTF-8", "UTF-16")
    before = text.encode(encoding)
    digit = {"darktable": "1"}.get(name, "3")
    assert rating_of(before) == float(digit)
    after = with_rating(before, 5)
    old, new = (f"p:Rating{{}}{d}" for d in (digit, "5"))
    for joint in ('="', ">"):
        text = text.replace(old.format(joint), new.format(joint))
    assert after == text.encode(encoding)
    assert rating_of(after) == 5
    assert with_rating(after, int(digit)) == before


@pytest.mark.parametrize("name", SAMPLES)
def test_a_missing_rating_is_added_in_the_manner_of_the_file(name: str) -> None:
    unrated = re.sub(r'\s*xmp:Rating="."|\s*<xap:Rating>.</xap:Rating>', "", SAMPLES[name])
    before = unrated.encode()
    assert rating_of(before) is None
    after = with_rating(before, 4)
    assert rating_of(after) == 4
    assert tree_without_rating(after) == tree_without_rating(before)
    added = re.sub(rb'\s+(xmlns:xmp="http://ns.adobe.com/xap/1.0/"\s+)?xmp:Rating="4"', b"", after)
    dropped = re.sub(
        rb'\s+xmlns:xmp="http://ns.adobe.com/xap/1.0/"(?=\s+xmp:Rating="4")', b"", after
    )
    assert before in (added, re.sub(rb'\s+xmp:Rating="4"', b"", dropped))


def wrapped(description: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        f'xmlns:rdf="{RDF}">{description}</rdf:RDF></x:xmpmeta>'
    ).encode()


@pytest.mark.parametrize(
    ("inside", "rating"),
    [
        ("<x:Rating/>", None),
        ("<x:Rating />", None),
        ("<x:Rating></x:Rating>", None),
        ("<x:Rating>\n 2.0 </x:Rating>", 2.0),
        ("<x:Rating>0</x:Rating>", None),
        ("<x:Rating>-1</x:Rating>", -1.0),
        ("<x:Other><x:Rating>5</x:Rating></x:Other>", None),
    ],
)
def test_elements_of_every_shape(inside: str, rating: float | None) -> None:
    before = wrapped(f'<rdf:Description rdf:about="" xmlns:x="{XMP}">{inside}</rdf:Description>')
    assert rating_of(before) == rating
    after = with_rating(before, 4)
    assert rating_of(after) == 4
    assert tree_without_rating(after) == tree_without_rating(before)
    assert b"5</x:Rating>" in after or "Other" not in inside


@pytest.mark.parametrize(
    "rdf",
    [
        f'<rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF>',
        f'<rdf:RDF xmlns:rdf="{RDF}">\n <!-- nothing yet -->\n</rdf:RDF>',
        f'<rdf:RDF xmlns:rdf="{RDF}"/>',
        f"<RDF xmlns='{RDF}' />",
        f'<r:RDF xmlns:r="{RDF}" xmlns:rdf="urn:a" xmlns:xmp="urn:b"/>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_sidecar_that_describes_nothing_yet_is_filled(rdf: str, encoding: str) -> None:
    before = f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xmpmeta>'.encode(encoding)
    assert rating_of(before) is None
    after = with_rating(before, 4)
    assert rating_of(after) == 4
    (root,) = ElementTree.fromstring(after)
    (description,) = root
    assert description.attrib == {f"{{{RDF}}}about": "", WITH_RATING: "4"}
    assert with_rating(with_rating(after, 2), 4) == after


def test_a_prefix_taken_for_something_else_is_not_reused() -> None:
    before = wrapped('<rdf:Description xmlns:xmp="urn:a" xmlns:xap="urn:b" xmp:Rating="5"/>')
    assert rating_of(before) is None
    after = with_rating(before, 2)
    assert rating_of(after) == 2
    assert b'xmp:Rating="5"' in after
    assert tree_without_rating(after) == tree_without_rating(before)


def test_every_rating_of_a_picture_is_changed() -> None:
    one = f'<rdf:Description xmlns:x="{XMP}" x:Rating="2"/>'
    other = f'<rdf:Description xmlns:x="{XMP}"><x:Rating>3</x:Rating></rdf:Description>'
    assert rating_of(wrapped(one + other)) == 2
    expected = wrapped(one.replace('"2"', '"4"') + other.replace(">3<", ">4<"))
    assert with_rating(wrapped(one + other), 4) == expected


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><x>&c;</x>'
)
READ_A_FILE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><x>&e;</x>'
DESCRIBED = f'<rdf:Description xmlns:x="{XMP}">{{}}</rdf:Description>'


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no well-formed XMP"),
        (b"hello", "no well-formed XMP"),
        (LIGHTROOM.encode()[:700], "no well-formed XMP"),
        (LIGHTROOM.replace("xmlns:crs", "xmlns:cr").encode(), "unbound prefix"),
        (b"\xff\xfe<\0x", "not valid text"),
        ("<a>é</a>".encode("latin-1"), "not valid text"),
        (b'<?xml version="1.0" encoding="zlib_codec"?><a/>', "is written in zlib_codec"),
        (BOMB, "declares a document type"),
        (READ_A_FILE, "declares a document type"),
        (b"<!DOCTYPE x SYSTEM 'http://localhost:1/x.dtd'><x/>", "declares a document type"),
        (b"<svg/>", "no rdf:RDF"),
        (wrapped(DESCRIBED.format("<x:Rating>many</x:Rating>")), "the rating 'many'"),
        (wrapped(DESCRIBED.format("<x:Rating>nan</x:Rating>")), "the rating 'nan'"),
        (wrapped(DESCRIBED.format("<x:Rating>99</x:Rating>")), "the rating '99'"),
        (wrapped(DESCRIBED.format("<x:Rating><!-- mine -->3</x:Rating>")), "with parts"),
        (wrapped(DESCRIBED.format("<x:Rating>&#51;</x:Rating>")), "with parts"),
        (wrapped(DESCRIBED.format("<x:Rating><rdf:value>3</rdf:value></x:Rating>")), "with parts"),
        (wrapped(DESCRIBED.format('<x:Rating rdf:parseType="Resource"/>')), "with parts"),
    ],
)
def test_what_cannot_be_understood_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(DataError, match=re.escape(says)):
        with_rating(data, 3 if rating_of(data) is None else 4)


def test_a_new_sidecar_says_the_rating_and_nothing_else() -> None:
    root = ElementTree.fromstring(new_sidecar(4))
    assert root.tag == "{adobe:ns:meta/}xmpmeta"
    (description,) = root.iter(f"{{{RDF}}}Description")
    assert description.attrib == {f"{{{RDF}}}about": "", WITH_RATING: "4"}
    assert rating_of(new_sidecar(4)) == 4


# Sidecars of any shape

spaces = st.text(" \n\t", min_size=1, max_size=4)
values = st.text(
    st.characters(exclude_characters='<&"', exclude_categories=["Cs", "Cc"]), max_size=9
)
names = st.sampled_from(["a", "Rating", "é", "_b.c-d", "Label"])
prefixes = st.sampled_from(["xmp", "xap", "q"])


@st.composite
def sidecars(draw: st.DrawFn) -> bytes:
    def attributes(most: int) -> str:
        chosen = draw(st.lists(names, unique=True, max_size=most))
        return "".join(
            f"{draw(spaces)}o:{name}{draw(st.sampled_from(['=', ' = ']))}"
            + draw(st.sampled_from(['"{}"', "'{}'"])).format(draw(values).replace("'", ""))
            for name in chosen
        )

    def description() -> str:
        xmp = draw(prefixes)
        opened = f'rdf:Description xmlns:o="urn:o"{attributes(3)}'
        inside = draw(values)
        if draw(st.booleans()):
            opened += f'{draw(spaces)}xmlns:{xmp}="{XMP}"'
            form = draw(st.sampled_from(["none", "attribute", "element", "nested"]))
            rating = draw(st.sampled_from(["", "0", "1", "3", "5", "-1", "2.0"]))
            if form == "attribute":
                opened += f"{draw(spaces)}{xmp}:Rating='{rating}'"
            if form == "element":
                inside += f"<{xmp}:Rating>{rating}</{xmp}:Rating>"
            if form == "nested":
                inside += f"<o:thing><{xmp}:Rating>{rating}</{xmp}:Rating></o:thing>"
        opened += attributes(0)
        inside += draw(
            st.sampled_from(["", "<!-- xmp:Rating='9' -->", "<![CDATA[<a>]]>", "<?pi?>"])
        )
        return f"<{opened}{draw(st.sampled_from(['', ' ']))}>{inside}</rdf:Description>"

    body = "".join(description() for _ in range(draw(st.integers(1, 3))))
    text = wrapped(body).decode()
    text = draw(st.sampled_from(["", '<?xpacket begin="\ufeff" id="W"?>\r\n'])) + text
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))


@given(sidecars(), st.integers(1, 5), st.integers(1, 5))
def test_all_but_the_rating_is_equal(before: bytes, stars: int, again: int) -> None:
    after = with_rating(before, stars)
    assert rating_of(after) == stars
    assert tree_without_rating(after) == tree_without_rating(before)
    assert with_rating(after, stars) == after
    # What stands around the changed bytes is the same bytes: going on from there changes as little.
    assert with_rating(with_rating(after, again), stars) == after


@given(st.binary(max_size=400) | sidecars().map(lambda data: data[: len(data) * 2 // 3]))
def test_no_bytes_break_it(data: bytes) -> None:
    with contextlib.suppress(DataError):
        assert rating_of(with_rating(data, 1)) == 1
