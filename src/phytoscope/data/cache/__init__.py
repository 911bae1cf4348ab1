"""Decoded pixels, kept between runs in shards that several processes share."""

from phytoscope.data.cache.pixel_cache import PixelCache, open_pixel_cache

__all__ = ["PixelCache", "open_pixel_cache"]
