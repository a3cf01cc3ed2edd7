"""What Google's answers mean for aveo3. Pure: takes HTTP answers and lost answers, returns verdicts."""

from aveo3.verdicts.error_body import (
    LONGEST_DELAY,
    brief,
    delay_of,
    error_of,
    is_google,
    is_safety,
    message_of,
    reasons_of,
)
from aveo3.verdicts.operation import Ending, from_operation_error, is_audio_filter, rpc_code
from aveo3.verdicts.submit import from_answer
from aveo3.verdicts.verdict import Refusal, Verdict, VerdictKind, accepted, rejected, uncertain, unsent

__all__ = [
    "LONGEST_DELAY",
    "Ending",
    "Refusal",
    "Verdict",
    "VerdictKind",
    "accepted",
    "brief",
    "delay_of",
    "error_of",
    "from_answer",
    "from_operation_error",
    "is_audio_filter",
    "is_google",
    "is_safety",
    "message_of",
    "reasons_of",
    "rejected",
    "rpc_code",
    "uncertain",
    "unsent",
]
