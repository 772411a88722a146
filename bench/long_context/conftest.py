"""The instrument of the long-context claims."""

from __future__ import annotations

import pytest

from bench.fixtures import once
from bench.long_context.lab import LongContext
from bench.long_context.looks import long_context_of, sizes_of
from bench.measure.session import Session
from bench.measure.store import NotOnRecord
from models.errors import InputError


@pytest.fixture
def long_context(request: pytest.FixtureRequest, session: Session) -> LongContext:
    """Variants of the session's model under growing contexts."""
    try:
        sizes = sizes_of(session)
        made: LongContext = once(request, ("long context", id(session)), lambda: long_context_of(session, sizes))
        if session.store.write is not None:
            _ = made.windows
    except InputError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    except NotOnRecord as error:
        pytest.skip(str(error))
    return made
