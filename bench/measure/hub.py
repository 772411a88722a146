"""Texts of the papers: from the hub, or from the folder that stands in its place (`--data-dir`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.measure.perplexity import lines_of
from models.errors import InputError
from models.packages import needed

RAW_WIKITEXT, RAW_FILE = "wikitext-2-raw-v1", "wikitext-2-raw-test.txt"
"""Names of WikiText-2's raw form on the hub and in a folder."""


def hub_rows(name: str, config: str | None, split: str, **options: Any) -> Iterable[Any]:
    """The rows of a dataset.

    Raises:
        InputError: there is no hub, it does not have it, or datasets is not installed.
    """
    datasets = needed("datasets", f"reading {name} from the hub")  # few runs need it, and it takes half a second
    try:
        return datasets.load_dataset(name, config, split=split, **options)
    except (OSError, ValueError) as error:  # a dataset that is not found is an OSError too
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"the hub does not give {name} ({reason}); give --data-dir with a folder that holds the papers' data"
        ) from error


def wikitext_lines(config: str, data_dir: Path | None) -> list[str]:
    """The test rows of a WikiText such as `wikitext-2-raw-v1`; in a folder, `wikitext-2-raw-test.txt`.

    Raises:
        InputError: it is in neither place.
    """
    if data_dir is None:
        return [row["text"] for row in hub_rows("Salesforce/wikitext", config, "test")]
    return lines_of(data_dir / (RAW_FILE if config == RAW_WIKITEXT else f"{config}-test.txt"))
