"""Versions made by hand, for tests of what is told of them."""

from i2pa.models.versions import Versions

VERSIONS = Versions("0.1", "engine 1", "13", "3", "1", "1", "4", "2", "", "", "")
