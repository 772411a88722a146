"""Texts, tasks and models that come as files or packages, verified before use."""
