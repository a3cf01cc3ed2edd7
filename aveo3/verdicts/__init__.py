"""What Google's answers mean for us. Pure: HTTP answers and lost answers in, verdicts out."""

from aveo3.verdicts.verdict import (
    LONGEST_DELAY,
    Ending,
    Refusal,
    Verdict,
    VerdictKind,
    accepted,
    from_answer,
    from_operation_error,
    is_audio_filter,
    is_safety,
    message_of,
    reasons_of,
    rejected,
    rpc_code,
    uncertain,
    unsent,
)

__all__ = [
    "LONGEST_DELAY",
    "Ending",
    "Refusal",
    "Verdict",
    "VerdictKind",
    "accepted",
    "from_answer",
    "from_operation_error",
    "is_audio_filter",
    "is_safety",
    "message_of",
    "reasons_of",
    "rejected",
    "rpc_code",
    "uncertain",
    "unsent",
]
