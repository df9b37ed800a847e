"""The star rating inside an XMP sidecar: read it, change it, touch nothing else.

Bytes in, bytes out. A sidecar holds hours of somebody's edits, so it is never written anew from a
parsed tree: an XML parser only finds where the rating stands, and those few bytes are replaced.
Document types, and with them entities, are refused. Which files are rated, and when a rating is
left alone, is the business of `stars`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from i2pa.errors import DataError

XMP = "http://ns.adobe.com/xap/1.0/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
REJECTED = -1.0
"""What Lightroom's kin write for a picture thrown out by hand."""

# No character of XML, so no namespace can hold it.
_SEPARATOR = "\x1f"
_RATING = f"{XMP}{_SEPARATOR}Rating"
_DESCRIPTION = f"{RDF}{_SEPARATOR}Description"
_ROOT = f"{RDF}{_SEPARATOR}RDF"

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_WITHOUT_BOM = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([\w.-]+)["']""")
_BYTE_ENCODINGS = {"utf-8", "us-ascii", "iso-8859-1", "windows-1252"}

_TAG_NAME = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"""(\s+)([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_TAG_END = re.compile(rb"\s*(/?)>")

_NEW = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmp:Rating="{stars}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def new_sidecar(stars: int) -> bytes:
    """A sidecar that says nothing but the rating."""
    return _NEW.format(stars=stars).encode()


def rating_of(data: bytes) -> float | None:
    """The rating a sidecar holds: 1 to 5, -1 (rejected), or None where it is unrated (also 0).

    Where it holds several, the first that says something. Raises DataError where the sidecar
    cannot be understood, or a rating is no number.
    """
    return _rating(_find(_Text.of(data).utf8))


def with_rating(data: bytes, stars: int) -> bytes:
    """The sidecar with its rating set to `stars`, every other byte as it was.

    A rating is replaced where it stands, as an attribute or an element; where there is none, an
    attribute is added to the first description, or a description to rdf:RDF. Raises DataError
    where the sidecar cannot be understood, or has no place for a rating.
    """
    text = _Text.of(data)
    found = _find(text.utf8)
    value = str(stars).encode()
    edits = [(spot.start, spot.end, spot.open + value + spot.close) for spot in found.spots]
    if not edits:
        edits = [_new_rating(text.utf8, found, value)]
    changed = text.utf8
    for start, end, put in sorted(edits, reverse=True):
        changed = changed[:start] + put + changed[end:]
    if _rating(_find(changed)) != stars:
        raise DataError("its rating cannot be changed safely")
    return text.encoded(changed)


@dataclass(frozen=True)
class _Text:
    """A sidecar's text as UTF-8, and what is needed to give it back in its own encoding."""

    utf8: bytes
    bom: bytes
    codec: str

    @staticmethod
    def of(data: bytes) -> _Text:
        bom, codec = next((known for known in _BOMS if data.startswith(known[0])), (b"", ""))
        if not codec:
            codec = next((c for start, c in _WITHOUT_BOM if data.startswith(start)), "")
        declared = _DECLARED.match(data)
        if not codec and declared:
            codec = declared[1].decode().lower()
            if codec not in _BYTE_ENCODINGS:
                raise DataError(f"is written in {codec}", remedy="save it as UTF-8")
        codec = codec or "utf-8"
        try:
            return _Text(data[len(bom) :].decode(codec).encode(), bom, codec)
        except UnicodeError as error:
            raise DataError(f"is not valid text in {codec}") from error

    def encoded(self, utf8: bytes) -> bytes:
        return self.bom + utf8.decode().encode(self.codec)


@dataclass(frozen=True)
class _Spot:
    """Where a rating's value stands (bytes start to end), and what must go around a new one."""

    start: int
    end: int
    text: str
    open: bytes = b""
    close: bytes = b""


@dataclass
class _Found:
    spots: list[_Spot] = field(default_factory=list)
    description: int | None = None
    """Where the tag of the first top-level description starts."""
    root: int | None = None
    """Where the tag of the first rdf:RDF starts."""
    prefixes: dict[str, str] = field(default_factory=dict)
    """What each prefix means there."""


class _Finder:
    """Walks a sidecar once and notes where ratings stand.

    Only properties of the top-level descriptions count: a rating inside a structure is that of
    something else.
    """

    def __init__(self, utf8: bytes) -> None:
        self.found = _Found()
        self._utf8 = utf8
        self._open: list[str] = []
        self._scopes: list[dict[str, str]] = [{}]
        self._declared: dict[str, str] = {}
        self._rating: tuple[int, list[str]] | None = None
        parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.ordered_attributes = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        self._parser = parser

    def run(self) -> _Found:
        self._parser.Parse(self._utf8, True)
        return self.found

    def _refuse(self, *_: object) -> None:
        raise DataError("declares a document type, which no sidecar needs")

    def _namespace(self, prefix: str | None, uri: str) -> None:
        self._declared[prefix or ""] = uri

    def _start(self, name: str, attributes: list[str]) -> None:
        scope = self._scopes[-1]
        if self._declared:
            scope = scope | self._declared
            self._declared = {}
        self._scopes.append(scope)
        if self._rating is not None:
            raise DataError("holds a rating with parts, which i2pa cannot change")
        at = self._parser.CurrentByteIndex
        if name == _ROOT and self.found.root is None:
            self.found.root = at
        if name == _DESCRIPTION and self._open[-1:] == [_ROOT]:
            if self.found.description is None:
                self.found.description, self.found.prefixes = at, scope
            values = dict(zip(attributes[::2], attributes[1::2], strict=True))
            if _RATING in values:
                self.found.spots.append(self._attribute(at, scope, values[_RATING]))
        elif name == _RATING and self._open[-2:] == [_ROOT, _DESCRIPTION]:
            if attributes:
                raise DataError("holds a rating with parts, which i2pa cannot change")
            self._rating = at, []
        self._open.append(name)

    def _end(self, name: str) -> None:
        del name
        self._open.pop()
        self._scopes.pop()
        if self._rating is not None:
            (at, said), self._rating = self._rating, None
            self.found.spots.append(self._element(at, self._parser.CurrentByteIndex, said))

    def _characters(self, text: str) -> None:
        if self._rating is not None:
            self._rating[1].append(text)

    def _attribute(self, at: int, scope: dict[str, str], value: str) -> _Spot:
        for attribute in _attributes(self._utf8, at):
            prefix, _, local = attribute[2].decode().partition(":")
            if local == "Rating" and scope.get(prefix) == XMP:
                quoted = 3 if attribute[3] is not None else 4
                return _Spot(*attribute.span(quoted), value)
        raise DataError("holds a rating that cannot be located")

    def _element(self, at: int, end: int, said: list[str]) -> _Spot:
        inside, empty = _tag_end(self._utf8, at)
        if empty:
            tag = _TAG_NAME.match(self._utf8, at)
            assert tag is not None
            slash = self._utf8.rindex(b"/", at, inside)
            return _Spot(slash, inside, "", b">", b"</" + tag[0][1:] + b">")
        value = "".join(said)
        raw = self._utf8[inside:end]
        if raw.decode().strip() != value.strip():
            raise DataError("holds a rating with parts, which i2pa cannot change")
        start = inside + len(raw) - len(raw.lstrip())
        return _Spot(start, start + len(raw.strip()), value)


def _find(utf8: bytes) -> _Found:
    try:
        return _Finder(utf8).run()
    except expat.ExpatError as error:
        raise DataError(
            f"is no well-formed XMP (line {error.lineno}: {expat.ErrorString(error.code)})"
        ) from error


def _rating(found: _Found) -> float | None:
    ratings = [_number(spot.text) for spot in found.spots]
    return next((rating for rating in ratings if rating), None)


def _number(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not REJECTED <= number <= 5:
        raise DataError(f"holds the rating {text.strip()[:20]!r}, not one of -1 to 5")
    return number


def _attributes(utf8: bytes, tag: int) -> list[re.Match[bytes]]:
    """The attributes of the start tag at `tag`, which the parser has found well-formed."""
    name = _TAG_NAME.match(utf8, tag)
    assert name is not None
    found = []
    attribute = _ATTRIBUTE.match(utf8, name.end())
    while attribute:
        found.append(attribute)
        attribute = _ATTRIBUTE.match(utf8, attribute.end())
    return found


def _tag_end(utf8: bytes, tag: int) -> tuple[int, bool]:
    """Where the content after the start tag at `tag` begins, and whether the tag closes itself."""
    attributes = _attributes(utf8, tag)
    name = _TAG_NAME.match(utf8, tag)
    assert name is not None
    end = _TAG_END.match(utf8, attributes[-1].end() if attributes else name.end())
    assert end is not None
    return end.end(), bool(end[1])


def _new_rating(utf8: bytes, found: _Found, value: bytes) -> tuple[int, int, bytes]:
    """The bytes to replace by a rating (start to end, empty where it is added), and its text."""
    if found.description is not None:
        at, added = _new_attribute(utf8, found, found.description, value)
        return at, at, added
    if found.root is None:
        raise DataError("has no rdf:RDF, so no place for a rating")
    # The sidecar may know these prefixes for something else, or not at all.
    description = b"".join(
        (
            b'<rdf:Description xmlns:rdf="%s" rdf:about=""' % RDF.encode(),
            b' xmlns:xmp="%s" xmp:Rating="%s"/>' % (XMP.encode(), value),
        )
    )
    inside, empty = _tag_end(utf8, found.root)
    if not empty:
        return inside, inside, description
    name = _TAG_NAME.match(utf8, found.root)
    assert name is not None
    slash = utf8.rindex(b"/", found.root, inside)
    return slash, inside, b">" + description + b"</" + name[0][1:] + b">"


def _new_attribute(utf8: bytes, found: _Found, tag: int, value: bytes) -> tuple[int, bytes]:
    """Where to add a rating, and its text: in the manner of the attributes that are there."""
    attributes = _attributes(utf8, tag)
    name = _TAG_NAME.match(utf8, tag)
    assert name is not None
    at, space = (attributes[-1].end(), attributes[-1][1]) if attributes else (name.end(), b" ")
    known = [prefix for prefix, uri in found.prefixes.items() if prefix and uri == XMP]
    if known:
        return at, space + known[-1].encode() + b':Rating="' + value + b'"'
    names = ("xmp", "xap", *(f"xmp{n}" for n in range(len(found.prefixes) + 1)))
    prefix = next(name for name in names if name not in found.prefixes).encode()
    declared = space + b"xmlns:" + prefix + b'="' + XMP.encode() + b'"'
    return at, declared + space + prefix + b':Rating="' + value + b'"'
