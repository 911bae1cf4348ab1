"""The champion of before becomes champion again."""

from phytoscope.errors import ArtifactError
from phytoscope.steps.model_source import find_store
from phytoscope.track.model_version import CHAMPION, ROLLBACK
from phytoscope.track.registry import Registry


def roll_back(name: str, *, uri: str | None = None, version: int | None = None) -> tuple[int, int]:
    """Makes the champion of before champion again; the change is remembered like any other.

    Args:
        name: Name of the registered model.
        uri: Address of the registry; see `choose_uri`.
        version: Which version shall be champion; when None, the one that was it before the present one.

    Returns:
        Versions of the champion up to now and of the new one.

    Raises:
        ArtifactError: There is no champion, or none before it.
        TrackingError: The registry does not answer, or another process changed the champion meanwhile.
    """
    registry = Registry(find_store(uri))
    champion = registry.get(name, CHAMPION)
    if version is None:
        crowned = [reign.version for reign in registry.history(name)]
        # What stands above the champion was noted by a process that was killed before it could crown it.
        reigns = crowned[crowned.index(champion.version) :] if champion.version in crowned else crowned
        earlier = [number for number in reigns if number != champion.version]
        if not earlier:
            message = (
                f"version {champion.version} of {name!r} is the only champion that there ever was: there is nothing to "
                "go back to. Name another version with --to."
            )
            raise ArtifactError(message)
        version = earlier[0]
    target = registry.get(name, version)
    if target.version == champion.version:
        message = f"version {version} of {name!r} is champion already: name another one with --to."
        raise ArtifactError(message)
    registry.crown(name, target.version, ROLLBACK, instead_of=champion.version)
    return champion.version, target.version
