"""Columns of the table of image facts: what one pass over the pixels learns of every file, one row a file."""

from typing import Final

from phytoscope.schema.table import GREEN_PX, HEIGHT_PX, PATH, SHA256, WIDTH_PX

SIZE_BYTES: Final = "size_bytes"
MODIFIED_NS: Final = "modified_ns"
"""Time of the last change of the file's content, nanoseconds since 1970; a copy may carry over that of its original."""
CHANGED_NS: Final = "changed_ns"
"""Time when the system last changed anything of the file (Windows: made it), nanoseconds since 1970; nobody can set it.

With path, size and `modified_ns` it tells whether a file is still known.
"""
REASON: Final = "reason"
"""Why the image cannot be read; empty when it can, and then all other columns are filled."""
FORMAT: Final = "format"
"""Format of the content, for example JPEG; it need not be what the file's extension says."""
CHANNELS: Final = "channels"
"""Mode of the file before it became RGB, for example RGB, L, RGBA, CMYK."""

PERCEPTUAL_HASH: Final = "perceptual_hash"
"""64-bit hash of the low frequencies, uint64: few bits differ between two pictures that look the same."""
PERCEPTUAL_HASH_VARIANTS: Final = "perceptual_hash_variants"
"""Hashes of the eight mirrored and turned versions, little-endian uint64, 64 bytes; the first is the picture's own."""
THUMBNAIL: Final = "thumbnail"
"""Pixels of shape (32, 32, 3), uint8, RGB, as 3,072 bytes; both sides squashed, each pixel the mean of its area."""
THUMBNAIL_PX: Final = 32
FEATURES: Final = "features"
"""Descriptor of colour and texture, float16 little-endian, as bytes; the same length for all images."""

BRIGHTNESS: Final = "brightness"
"""Mean luma, 0-1."""
BRIGHTNESS_LOW: Final = "brightness_p05"
"""Luma below which 5 % of the pixels lie, 0-1."""
BRIGHTNESS_HIGH: Final = "brightness_p99"
"""Luma below which 99 % of the pixels lie, 0-1."""
CLIPPED_DARK: Final = "clipped_dark"
"""Share of pixels that are black (luma below 4 of 255), 0-1."""
CLIPPED_LIGHT: Final = "clipped_light"
"""Share of pixels that are white (luma above 251 of 255), 0-1."""
CONTRAST: Final = "contrast"
"""Standard deviation of the luma, 0-1."""
SHARPNESS: Final = "sharpness"
"""Variance of the Laplacian of the luma at a fixed size, so that resolutions compare; small means blurry."""
DETAIL: Final = "detail"
"""Score of the edges left at 64 pixels, 0-2, defined as cleanvision's score of blur; small means soft even then."""
ENTROPY: Final = "entropy"
"""Shannon entropy of the luma histogram in bits, 0-8; small means that little is to be seen."""
SATURATION: Final = "saturation"
"""Mean saturation (HSV), 0-1; near 0 means a grey picture."""
GREEN_FRACTION: Final = "green_fraction"
"""Share of pixels that are greener than the rest, 0-1."""
RED_MEAN: Final = "red_mean"
GREEN_MEAN: Final = "green_mean"
BLUE_MEAN: Final = "blue_mean"
BORDER_RED_MEAN: Final = "border_red_mean"
BORDER_GREEN_MEAN: Final = "border_green_mean"
BORDER_BLUE_MEAN: Final = "border_blue_mean"
"""Means of the outermost pixels of the thumbnail, 0-1."""
BORDER_CONTRAST: Final = "border_contrast"
"""Standard deviation of the luma along the border, 0-1."""

EXIF_TIME: Final = "exif_time"
"""When the picture was taken by its own record, text `YYYY-MM-DDTHH:MM:SS`; None when it does not say."""
EXIF_ORIENTATION: Final = "exif_orientation"
"""Orientation by its own record, 1-8; 0 when it does not say."""
CAMERA: Final = "camera"
"""Make and model by its own record; empty when it does not say."""

KEY_COLUMNS: Final = (PATH, SIZE_BYTES, MODIFIED_NS, CHANGED_NS)
IDENTITY_COLUMNS: Final = (SHA256, REASON, FORMAT, CHANNELS, WIDTH_PX, HEIGHT_PX)
QUALITY_COLUMNS: Final = (
    BRIGHTNESS,
    BRIGHTNESS_LOW,
    BRIGHTNESS_HIGH,
    CLIPPED_DARK,
    CLIPPED_LIGHT,
    CONTRAST,
    SHARPNESS,
    DETAIL,
    ENTROPY,
    SATURATION,
)
COLOUR_COLUMNS: Final = (
    RED_MEAN,
    GREEN_MEAN,
    BLUE_MEAN,
    BORDER_RED_MEAN,
    BORDER_GREEN_MEAN,
    BORDER_BLUE_MEAN,
    BORDER_CONTRAST,
    GREEN_FRACTION,
    GREEN_PX,
)
CAMERA_COLUMNS: Final = (EXIF_TIME, EXIF_ORIENTATION, CAMERA)
SMALL_COLUMNS: Final = (
    *KEY_COLUMNS,
    *IDENTITY_COLUMNS,
    PERCEPTUAL_HASH,
    *QUALITY_COLUMNS,
    *COLOUR_COLUMNS,
    *CAMERA_COLUMNS,
)
"""All columns but the long ones: about 300 bytes a row, so that a table of many images fits into memory."""
LONG_COLUMNS: Final = (PERCEPTUAL_HASH_VARIANTS, THUMBNAIL, FEATURES)
