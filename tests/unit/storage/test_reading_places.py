"""Reading from a real S3 server through a network that is slow, cut, throttled, refuses or is gone."""

import pytest

from factories.object_store import Manner, object_store
from phytoscope.errors import ConfigError, ImageReadError, MissingDependencyError, PlaceFaultError, StorageError
from phytoscope.storage.fetching import fetch_place
from phytoscope.storage.listing import holds_any, list_names, list_place, stat_places
from phytoscope.storage.place import as_local, as_url
from phytoscope.storage.reading import ABSENT, read_place, stat_place
from phytoscope.storage.trouble import mask_secrets
from phytoscope.transforms.decode import read_bytes

ODD = "leaves/a/ü b+c#d%20e.png"
KEYS = ["leaves/z.csv", "leaves/a/1.png", ODD, "leaves/a/deep/x.png", "leaves/b/2.png"]
CONTENT = b"leaf" * 200


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Run one S3 server with a few objects, a mark of a folder, and a prefix that only begins alike."""
    with object_store(tmp_path_factory.mktemp("s3")) as store:
        for key in [*KEYS, "leaves2/q.png"]:
            store.put(f"farm/{key}", CONTENT)
        store.put("farm/leaves/a/", b"")
        yield store


@pytest.fixture
def store(server, monkeypatch):
    """Let the libraries find the server, with short time-outs."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PHYTOSCOPE_STORAGE_TRIES", "3")
    monkeypatch.setenv("PHYTOSCOPE_STORAGE_TIMEOUT_S", "2")
    server.faults.clear()
    yield server
    server.faults.clear()


def test_a_listing_is_one_question_and_each_image_one(store) -> None:
    """All names come whole, files before folders, without marks; no image is asked for its size first."""
    listed = list(list_place("s3://farm/leaves"))
    assert [one.name for one in listed] == [key.removeprefix("leaves/") for key in KEYS]
    assert [read_place(one.url) for one in listed] == [CONTENT] * len(KEYS)
    assert (store.faults.count("GET"), store.faults.count("HEAD")) == (1 + len(KEYS), 0)


def test_a_listing_and_a_question_tell_the_same_state(store) -> None:
    """State is the same either way, and another one as soon as an object of the same size was put in its place."""
    listed = {one.url: one.state for one in list_place("s3://farm/leaves")}
    assert {url: stat_place(url) for url in listed} == listed
    assert stat_places(list(listed)) == list(listed.values())
    store.put("farm/other/a.png", b"one")
    before = stat_place("s3://farm/other/a.png")
    store.put("farm/other/a.png", b"two")
    assert stat_place("s3://farm/other/a.png") != before


def test_many_states_of_one_folder_are_one_question(store) -> None:
    """Nine files of a folder cost one listing, and one that is missing is absent."""
    for number in range(8):
        store.put(f"farm/many/{number}.png", CONTENT)
    store.faults.clear()
    states = stat_places([f"s3://farm/many/{number}.png" for number in range(9)])
    assert (states[8], states[0][0], store.faults.count()) == (ABSENT, len(CONTENT), 1)


def test_an_empty_prefix_holds_nothing(store) -> None:
    """A prefix without objects is empty, and one that only begins alike is another."""
    assert list(list_place("s3://farm/nothing")) == []
    assert not holds_any("s3://farm/leave")
    assert list_names("s3://farm/leaves") == ["a", "b", "z.csv"]


@pytest.mark.parametrize("manner", [Manner.cut, Manner.throttled, Manner.too_many, Manner.refusing, Manner.slow])
def test_what_passes_is_tried_again(store, manner) -> None:
    """Two bad answers cost two more questions, and nothing else."""
    store.faults.plan(manner, times=2)
    assert read_place("s3://farm/leaves/a/1.png") == CONTENT
    assert store.faults.count("GET") == (1 if manner is Manner.slow else 3)
    store.faults.plan(manner, times=2)
    assert len(list(list_place("s3://farm/leaves"))) == len(KEYS)


def test_a_hanging_store_is_given_up(store, monkeypatch) -> None:
    """A store that never answers costs the time-out at each try, no more."""
    monkeypatch.setenv("PHYTOSCOPE_STORAGE_TRIES", "2")
    monkeypatch.setenv("PHYTOSCOPE_STORAGE_TIMEOUT_S", "0.4")
    store.faults.plan(Manner.hanging)
    with pytest.raises(StorageError, match="did not answer properly at 2 tries"):
        read_place("s3://farm/leaves/a/1.png")


@pytest.mark.parametrize("manner", [Manner.cut, Manner.throttled, Manner.refusing])
def test_a_store_that_is_gone_stops_the_command(store, manner) -> None:
    """No image is blamed for a store that fails at every try."""
    store.faults.plan(manner)
    with pytest.raises(StorageError, match="did not answer properly at 3 tries"):
        read_bytes("s3://farm/leaves/a/1.png")
    # A connection that closes without a word is opened once more by the library itself.
    assert store.faults.count("GET") == (6 if manner is Manner.refusing else 3)


def test_an_image_is_blamed_for_what_is_its_own(store) -> None:
    """A missing key and one that may not be read are faults of that image, and are not asked for again."""
    with pytest.raises(ImageReadError, match=r"s3://farm/none.png.*does not exist"):
        read_bytes("s3:/farm/none.png")
    store.faults.plan(Manner.denied)
    with pytest.raises(ImageReadError, match="does not let you read it"):
        read_bytes("s3://farm/leaves/a/1.png")
    assert store.faults.count() == 1


def test_wrong_credentials_and_buckets_are_named(store) -> None:
    """Both stop the command at once with a sentence of their own."""
    with pytest.raises(StorageError, match=r"there is no bucket 's3://no-farm'"):
        read_bytes("s3://no-farm/a.png")
    with pytest.raises(StorageError, match=r"there is no bucket 's3://no-farm'"):
        list(list_place("s3://no-farm/leaves"))
    store.faults.plan(Manner.stranger)
    with pytest.raises(StorageError, match="refuses your credentials"):
        read_bytes("s3://farm/leaves/a/1.png")
    assert store.faults.count() == 1


def test_no_credentials_at_all(store, monkeypatch) -> None:
    """Without any credentials the sentence says so."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match="needs credentials and none were found"):
        read_place("s3://farm/leaves/a/1.png")


def test_what_is_fetched_is_fetched_once(store, monkeypatch, tmp_path) -> None:
    """A folder is copied whole, used again while it is the same, and copied anew when an object was replaced."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store.put("farm/model/package.json", b"{}")
    store.put("farm/model/parts/w", b"1")
    folder = fetch_place("s3://farm/model")
    assert (folder.name, (folder / "parts" / "w").read_bytes()) == ("model", b"1")
    store.faults.clear()
    assert fetch_place("s3://farm/model/") == folder
    assert store.faults.count(path="/farm/model/parts") == 0
    store.put("farm/model/parts/w", b"2")
    assert (fetch_place("s3://farm/model") / "parts" / "w").read_bytes() == b"2"
    with pytest.raises(FileNotFoundError, match="there is nothing at"):
        fetch_place("s3://farm/none")


def test_memory_and_paths(tmp_path) -> None:
    """Other stores and paths are read alike."""
    import fsspec

    fsspec.filesystem("memory").pipe("/bed/a b.png", CONTENT)
    assert read_place("memory://bed/a b.png") == CONTENT
    assert [one.name for one in list_place("memory://bed")] == ["a b.png"]
    assert stat_place("memory://bed/none") == ABSENT
    with pytest.raises(PlaceFaultError, match="does not exist"):
        read_place("memory://bed/none")
    (tmp_path / "a").write_bytes(b"1")
    assert read_place(f"file://{tmp_path}/a") == read_place(tmp_path / "a") == b"1"
    assert stat_place(tmp_path / "a")[0] == 1
    assert (as_local("file:///x/y"), as_url("file:///x/y"), as_url("C:/x")) == ("/x/y", None, None)


def test_addresses_that_nobody_knows() -> None:
    """An unknown scheme is refused with those that are known."""
    with pytest.raises(ConfigError, match="'nope' is no known kind of address"):
        read_place("nope://farm/a.png")


@pytest.mark.parametrize(("scheme", "module", "extra"), [("gs", "gcsfs", "gcs"), ("az", "adlfs", "azure")])
def test_a_missing_library_is_named(monkeypatch, scheme, module, extra) -> None:
    """Who lacks the library of a store is told which extra brings it."""
    monkeypatch.setitem(__import__("sys").modules, module, None)
    monkeypatch.setattr("phytoscope.storage.stores._stores", {})
    with pytest.raises(MissingDependencyError, match=rf"phytoscope\[{extra}\]"):
        read_place(f"{scheme}://farm/a.png")


@pytest.mark.parametrize("value", ["0", "many", "1.5", "nan"])
def test_settings_of_patience_are_checked(monkeypatch, value) -> None:
    """A number of tries that is none is refused, not ignored."""
    monkeypatch.setenv("PHYTOSCOPE_STORAGE_TRIES", value)
    with pytest.raises(ConfigError, match="PHYTOSCOPE_STORAGE_TRIES"):
        read_place("memory://bed/a.png")


def test_secrets_are_masked() -> None:
    """Passwords and signatures of an address are in no message."""
    assert mask_secrets("s3://me:pw@b/k?X-Amz-Signature=abc&v=1") == "s3://***@b/k?X-Amz-Signature=***&v=1"
    assert mask_secrets("abfs://box@account/k") == "abfs://box@account/k"
