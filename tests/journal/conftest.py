"""Fixtures of the tests of this package."""

from tests.support.journals import journal as journal
