"""What every test of this package gets."""

from tests.support.ssl_context import one_ssl_context as one_ssl_context
