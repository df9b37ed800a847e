"""Posts: any export becomes one table of typed posts whose captions are parsed once.

Pairs, pictures and models are unknown here.
"""

from __future__ import annotations

from i2pa.posts.column_map import load_column_map
from i2pa.posts.readers import FORMATS
from i2pa.posts.schema import POSTS
from i2pa.posts.table import PostsRead, load_posts, read_posts, write_posts

__all__ = [
    "FORMATS",
    "POSTS",
    "PostsRead",
    "load_column_map",
    "load_posts",
    "read_posts",
    "write_posts",
]
