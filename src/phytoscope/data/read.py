"""The one way in: from the data settings to source rows."""

from phytoscope.data.readers.read_folder import read_folder
from phytoscope.data.readers.read_labels import read_farmbot_biomass, read_labels
from phytoscope.data.readers.read_plantvillage import read_plantvillage
from phytoscope.data.source import Source
from phytoscope.data.validate.more_columns import check_more_columns
from phytoscope.data.validate.rules import check_rule_names
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig

_READERS = {
    DataKind.folder: read_folder,
    DataKind.plantvillage: read_plantvillage,
    DataKind.table: read_labels,
    DataKind.farmbot_biomass: read_farmbot_biomass,
}


def read_source(config: DataConfig) -> Source:
    """Reads the user's data in the layout that `config.kind` names; no image is opened yet.

    Raises:
        ConfigError: A setting or a named column is missing, a rule cannot be read or names no column, or a further
            target or a covariate cannot be used.
        DataNotFoundError: A folder or table does not exist or is empty.
        DataValidationError: A table cannot be read.
    """
    source = _READERS[config.kind](config)
    # A rule or a column with a wrong name is refused before the images are looked at, which may take hours.
    check_rule_names(source, config)
    check_more_columns(source, config)
    return source
