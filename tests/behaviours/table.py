"""Every behaviour of the pages, in the order in which a reader looks for them."""

from tests.behaviours.acting import CHANGING, DECIDING, ENDING, GOING_ON
from tests.behaviours.creating import CREATING
from tests.behaviours.getting import GETTING
from tests.behaviours.listing import LISTING
from tests.behaviours.reading import CONVERSATIONS, EVENTS, FILES, GRAPHS, WIRE

BEHAVIOURS = (
    *CREATING,
    *GETTING,
    *LISTING,
    *DECIDING,
    *GOING_ON,
    *CHANGING,
    *ENDING,
    *GRAPHS,
    *CONVERSATIONS,
    *EVENTS,
    *FILES,
    *WIRE,
)
