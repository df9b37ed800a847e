"""From pairs and pictures to a saved model: features, recipes, the fit, and its run folder.

Never scores a user's folder: that is `scoring`, which meets this room in the saved model.
"""

from i2pa.training.crossval import cross_validate
from i2pa.training.recipes import ABSOLUTE, FINETUNE, PAPER, PROBE, NetworkRecipe, Recipe
from i2pa.training.run import check_run_folder, export_run, write_run
from i2pa.training.train import train
from i2pa.training.trained import TrainedModel

__all__ = [
    "ABSOLUTE",
    "FINETUNE",
    "PAPER",
    "PROBE",
    "NetworkRecipe",
    "Recipe",
    "TrainedModel",
    "check_run_folder",
    "cross_validate",
    "export_run",
    "train",
    "write_run",
]
