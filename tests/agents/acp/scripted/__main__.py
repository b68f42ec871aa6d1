"""Does what the command line names. The sandbox has no more than this folder, which is imported from the one above."""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import_module("scripted").BEHAVIOURS[sys.argv[1]]()
