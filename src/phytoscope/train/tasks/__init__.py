"""Lightning tasks: what is minimised, what is measured, how the learning rate runs."""

from phytoscope.train.tasks.classification_task import ClassificationTask
from phytoscope.train.tasks.plant_task import SMOOTHED, PlantTask
from phytoscope.train.tasks.regression_task import RegressionTask

__all__ = ["SMOOTHED", "ClassificationTask", "PlantTask", "RegressionTask"]
