"""A person's own taste: a head shrunk toward a saved model's, and an honest word on what it adds.

Starts from a saved model and ends in one; works on its file, without torch. Training on other
people's pairs is `training`; scoring with the result is `scoring`.
"""

from i2pa.personal.gain import Gain
from i2pa.personal.pictures import Reading
from i2pa.personal.run import check_taste_folder, write_taste
from i2pa.personal.taste import PersonalTaste, personalize

__all__ = ["Gain", "PersonalTaste", "Reading", "check_taste_folder", "personalize", "write_taste"]
