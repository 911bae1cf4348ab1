"""Public data sets by name or address: downloads that continue, checksums, archives that stay in their folder."""
