"""What happens in a run, as typed events: `kinds` lists them, `bus` hands them to whoever listens."""

from aveo3.events.bus import EventReader as EventReader
from aveo3.events.kinds import KINDS as KINDS
from aveo3.events.kinds import VERSION as VERSION
from aveo3.events.kinds import Accepted as Accepted
from aveo3.events.kinds import BudgetChanged as BudgetChanged
from aveo3.events.kinds import Ended as Ended
from aveo3.events.kinds import Event as Event
from aveo3.events.kinds import Fetching as Fetching
from aveo3.events.kinds import JobEvent as JobEvent
from aveo3.events.kinds import LaneClosed as LaneClosed
from aveo3.events.kinds import LaneEvent as LaneEvent
from aveo3.events.kinds import LaneOpened as LaneOpened
from aveo3.events.kinds import LanePaused as LanePaused
from aveo3.events.kinds import LimitLearnt as LimitLearnt
from aveo3.events.kinds import Missed as Missed
from aveo3.events.kinds import Planned as Planned
from aveo3.events.kinds import PollFailed as PollFailed
from aveo3.events.kinds import Refused as Refused
from aveo3.events.kinds import Retrying as Retrying
from aveo3.events.kinds import RunBegun as RunBegun
from aveo3.events.kinds import RunEnded as RunEnded
from aveo3.events.kinds import Running as Running
from aveo3.events.kinds import Saved as Saved
from aveo3.events.kinds import Submitted as Submitted
from aveo3.events.kinds import Waiting as Waiting
