"""What a package keeps of the images that a model has seen."""

import pandas as pd
import pytest

from phytoscope.errors import PackageError
from phytoscope.predict.seen_files import SEEN_NAME, keep_seen, read_seen


def test_images_and_groups_are_known_again(tmp_path) -> None:
    """By their hashes, of which nobody can read the names."""
    rows = pd.DataFrame({"sha256": ["a" * 64, "b" * 64], "group_id": ["plant 1", None]})
    keep_seen(rows, ["leaf 7"])(tmp_path)
    seen = read_seen(tmp_path)
    image, group = seen.find(["a" * 64, "c" * 64, "c" * 64], ["plant 2", "plant 1", "leaf 7"])
    assert image.tolist() == [True, False, False]
    assert group.tolist() == [False, True, True]
    assert b"plant" not in (tmp_path / SEEN_NAME).read_bytes()


def test_package_of_an_earlier_version_does_not_say(tmp_path) -> None:
    """That is something else than having seen nothing."""
    assert read_seen(tmp_path) is None


@pytest.mark.parametrize("content", [b"damaged", None])
def test_list_that_cannot_be_read_is_refused(tmp_path, content) -> None:
    """Damaged, or another table: an image that was learned from must not pass as new."""
    if content is None:
        pd.DataFrame({"name": ["a"]}).to_parquet(tmp_path / SEEN_NAME)
    else:
        (tmp_path / SEEN_NAME).write_bytes(content)
    with pytest.raises(PackageError, match=r"cannot be read .*copy the package again"):
        read_seen(tmp_path)
