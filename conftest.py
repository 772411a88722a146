"""The suite is a pytest plugin; `pytester` runs it inside its own tests."""

pytest_plugins = ("bench.plugin", "pytester")
