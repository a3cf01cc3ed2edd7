"""The arguments of `Settings` for type checkers: each field with everything that it accepts. No code runs this.

Fields hold less than they accept: `output_dir` accepts a text and holds a `Path`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, TypedDict

from pydantic import SecretStr


class SettingsArguments(TypedDict, total=False):
    """Keyword arguments of `Settings`, in the order of its fields."""

    max_retries: int
    retry_wait_base: float
    quota_wait_time: float
    consecutive_failure_threshold: int
    quota_reset_interval: float
    rate_limit: int | None
    rate_period: float
    burst: int | None
    daily_limit: int | None
    max_concurrency: int | None
    spend_limit: float | None
    spend_period: float
    budget: float | None
    confirm_above: float | None
    mcp_budget: float | None
    mcp_ask_above: float | None
    mcp_media: str | Sequence[Path]
    mcp_token: str | SecretStr | None
    quota_patience: float | None
    backend: Literal["auto", "vertex", "gemini", "mock"]
    model: str
    catalog: str | PathLike[str] | None
    base_url: str | None
    api_version: str
    output_dir: str | PathLike[str]
    name: str
    journal: str | PathLike[str] | None
    database: str | SecretStr | None
    output_gcs_uri: str | None
    keep_remote: bool
    storage_url: str
    retention: float | None
    disk_limit: int | None
    request_timeout: float
    operation_timeout: float
    resend_503: bool
    poll_interval: float | None
    poll_rate: float | None
    webhook: str | None
    webhook_listen: str
    mock_mode: bool
    debug_mode: bool
    log_format: Literal["text", "json"]
    otel: bool | None
    otel_content: bool
    lanes: str | PathLike[str] | None
    fallback: str | Sequence[str]
    labels: str | Mapping[str, str]
    project_label: str | None
    project: str | None
    location: str
    api_key: str | SecretStr | None
    credentials_file: str | PathLike[str] | None
    server: str | None
    server_key: str | SecretStr | None
    server_priority: int
    use_vertex: bool | None
    _env_file: str | Path | None
