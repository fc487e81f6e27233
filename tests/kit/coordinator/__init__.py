"""The coordinator without servers: its real classes above fakes that note each step.

Each fake is of the type that it stands for, so a signature that changes there is a type error here.
"""

from tests.kit.coordinator.floor import Floor
from tests.kit.coordinator.sweep import page
from tests.kit.coordinator.watched import FILM, OVERLAP, PERSON, START, Asked

__all__ = ["FILM", "OVERLAP", "PERSON", "START", "Asked", "Floor", "page"]
