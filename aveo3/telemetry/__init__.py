"""Traces and metrics by OpenTelemetry, out of a client's events. Nothing of OpenTelemetry is imported until it is on.

`switch` decides whether it is, `spans` and `meters` speak to OpenTelemetry; `instruments` lists the metrics, and
`measuring` takes their values from events, without it: the server's `/metrics` shows the same.
"""
