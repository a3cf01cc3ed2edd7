"""Cloud Storage's error bodies, which have their own format."""

from aveo3.mock.error_bodies import Answer


def error(code: int, reason: str, message: str, **more: str) -> Answer:
    detail = {"message": message, "domain": "global", "reason": reason, **more}
    return Answer(code, {"error": {"code": code, "message": message, "errors": [detail]}})


def in_prose(answer: Answer) -> Answer:
    """Convert an error to the answer to a download, which contains only the message."""
    return Answer(answer.status, answer.body["error"]["message"], {"Content-Type": "text/html; charset=UTF-8"})


def denied(permission: str, *, anonymous: bool = False) -> Answer:
    words = (
        f"{'Anonymous' if anonymous else 'The'} caller does not have {permission} access to the Google Cloud Storage "
        f"{'bucket' if permission.endswith('.list') else 'object'}. Permission '{permission}' denied on resource (or "
        "it may not exist)."
    )
    if anonymous:
        return error(401, "required", words, locationType="header", location="Authorization")
    return error(403, "forbidden", words)


def no_bucket() -> Answer:
    return error(404, "notFound", "The specified bucket does not exist.")


def no_object(bucket: str, name: str) -> Answer:
    return error(404, "notFound", f"No such object: {bucket}/{name}")


UNAVAILABLE = error(503, "backendError", "We encountered an internal error. Please try again.")
