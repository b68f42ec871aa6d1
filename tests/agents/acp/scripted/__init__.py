"""An agent that speaks the Agent Client Protocol by a script: `python FOLDER BEHAVIOUR`, where FOLDER is this one.

What it was told it writes to `heard.jsonl` in its folder, so that a test can look at it.
"""

from . import lasting, ordinary, rules, trouble
from .behaviours import BEHAVIOURS
from .speech import SESSION

__all__ = ["BEHAVIOURS", "SESSION", "lasting", "ordinary", "rules", "trouble"]
