"""Options of a user's own model and text."""

import pytest


@pytest.fixture(scope="session")
def own(gpt2_folder, text_file):
    return ["--model", str(gpt2_folder), "--text", str(text_file), "--contexts", "4,8,16"]
