"""What assets need of the world: the workspace, and where MLflow's pages are."""

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from phytoscope.pipeline.workspace import Workspace, find_workspace
from phytoscope.track.target import WORKSPACE_VARIABLE

MLFLOW_PAGE_VARIABLE = "PHYTOSCOPE_MLFLOW_PAGE"


class WorkspaceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The one directory that holds everything; it is looked up when a run needs it.

    Attributes:
        root: The directory; None takes the variable PHYTOSCOPE_WORKSPACE, else ./phytoscope-workspace.
    """

    root: str | None = Field(
        default=None, description=f"The directory; {WORKSPACE_VARIABLE} or ./phytoscope-workspace when left out."
    )

    def open(self) -> Workspace:
        """Finds the workspace.

        Raises:
            ConfigError: There is none.
        """
        return find_workspace(None if self.root is None else Path(self.root))


class MlflowResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where MLflow's pages are, for links to runs and models; which store is told, the data set's settings say.

    Attributes:
        page: Address of the pages of a store that is a file; None takes the variable PHYTOSCOPE_MLFLOW_PAGE, else
            http://127.0.0.1:5001, where `phytoscope pipeline` starts them. A server shows its own.
    """

    page: str | None = Field(
        default=None, description=f"Address of the pages; {MLFLOW_PAGE_VARIABLE} or http://127.0.0.1:5001 if left out."
    )

    def link_run(self, uri: str, run: str) -> str:
        """Address of the page of a tracked run.

        Args:
            uri: Address of the store.
            run: MLflow's id of the run.
        """
        return f"{self._find_page(uri)}/#/runs/{run}"

    def link_model(self, uri: str, name: str, version: int) -> str:
        """Address of the page of a registered version.

        Args:
            uri: Address of the store.
            name: Name in the registry.
            version: The version.
        """
        return f"{self._find_page(uri)}/#/models/{name}/versions/{version}"

    def _find_page(self, uri: str) -> str:
        if uri.startswith(("http://", "https://")):
            return uri.rstrip("/")
        named = self.page or os.environ.get(MLFLOW_PAGE_VARIABLE, "").strip() or "http://127.0.0.1:5001"
        return named.rstrip("/")
