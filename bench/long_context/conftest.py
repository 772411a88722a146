"""The instrument of the long-context claims."""

from __future__ import annotations

import pytest

from bench.fixtures import once
from bench.long_context.lab import LongContext
from bench.measure.session import Session
from models.errors import InputError


@pytest.fixture
def long_context(request: pytest.FixtureRequest, session: Session) -> LongContext:
    """Variants of the session's model under growing contexts."""
    made: LongContext = once(request, ("long context", id(session)), lambda: LongContext(session))
    if session.store.write is not None:
        try:
            _ = made.windows
        except InputError as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return made
