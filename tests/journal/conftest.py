"""What every test of this package may ask for."""

from tests.support.journals import journal as journal
