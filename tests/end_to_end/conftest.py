"""Fixtures of every test in this package."""

from tests.support.ssl_context import one_ssl_context as one_ssl_context
