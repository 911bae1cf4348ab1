"""The file that MLflow keeps beside a model package and runs to load it: text, not a pickle."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from phytoscope.track.pyfunc_answers import PackageAnswers


class PhytoscopeModel(PythonModel):
    """Answers tables of images with the model package among its artefacts."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the package.

        Args:
            context: Its artefact `package` is the package's folder.
        """
        self._answers = PackageAnswers(Path(context.artifacts["package"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answers every row; see `PackageAnswers.answer`.

        Args:
            context: Not needed any more.
            model_input: Column `image` with the bytes of image files, and columns of what is known beside them.
            params: There are none.
        """
        return self._answers.answer(model_input)


set_model(PhytoscopeModel())
