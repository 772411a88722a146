"""lm-evaluation-harness on a model in memory, offline: its own tasks, with text from a place of ours."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models.errors import InputError

WIKITEXT = ("word_perplexity", "byte_perplexity", "bits_per_byte")
LAMBADA = ("perplexity", "acc")


def can_read(tokenizer: PreTrainedTokenizerBase) -> bool:
    """True if the harness can read with a tokenizer: it starts every page from a BOS or EOS token."""
    return tokenizer.bos_token_id is not None or tokenizer.eos_token_id is not None


def harness(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, pages: Sequence[str], passages: Sequence[str] = ()
) -> dict[str, float]:
    """Figures that the harness gives a model: `word_perplexity` and others, and with passages `lambada_acc` and others.

    The `wikitext` task's detokenizer, its count of words (of the text before detokenizing) and its rolling windows, and
    how `lambada_openai` parts a passage's last word from the rest, are the harness's.

    Args:
        model: a decoder-only language model.
        tokenizer: the model's.
        pages: of `wikitext`.
        passages: of `lambada_openai`; none for leaving that task out.

    Raises:
        InputError: no page, or a tokenizer with neither BOS nor EOS.
    """
    from lm_eval import evaluator  # noqa: PLC0415 - takes seconds to import and few need it
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415
    from lm_eval.tasks import TaskManager  # noqa: PLC0415

    if not pages:
        raise InputError("lm-eval was given no page")
    if not can_read(tokenizer):
        raise InputError("lm-eval starts every page from a BOS or EOS token and this tokenizer has neither")
    with tempfile.TemporaryDirectory() as folder:
        tasks = [_wikitext(Path(folder), pages)]
        tasks += [_lambada(Path(folder), passages)] if passages else []
        wrapper: Any = HFLM  # its parameters are hidden from type checkers by a decorator
        wrapped = wrapper(pretrained=model, tokenizer=tokenizer, batch_size=1)
        # An index of the harness's own tasks takes it half a minute to make, and none of them is asked for.
        index = TaskManager(include_defaults=False)
        results: Any = evaluator.simple_evaluate(model=wrapped, tasks=tasks, bootstrap_iters=0, task_manager=index)
    if results is None:
        raise InputError("lm-eval gave no result; it returns one in the main process only")
    figures = {name: float(results["results"]["wikitext"][f"{name},none"]) for name in WIKITEXT}
    if passages:
        figures |= {f"lambada_{name}": float(results["results"]["lambada_openai"][f"{name},none"]) for name in LAMBADA}
    return figures


def _rows(folder: Path, name: str, column: str, texts: Sequence[str]) -> dict[str, Any]:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({column: text}) + "\n" for text in texts), encoding="utf-8")
    files = {"data_files": {"test": str(path)}, "cache_dir": str(folder)}
    return {"task": name, "dataset_path": "json", "dataset_kwargs": files, "test_split": "test"}


def _wikitext(folder: Path, pages: Sequence[str]) -> Any:
    from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415
    from lm_eval.tasks.wikitext import preprocess_wikitext  # noqa: PLC0415

    config = _rows(folder, "wikitext", "page", pages) | {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": preprocess_wikitext.wikitext_detokenizer,
        "process_results": preprocess_wikitext.process_results,
        "metric_list": [{"metric": name} for name in WIKITEXT],
    }
    return ConfigurableTask(config=config)


def _lambada(folder: Path, passages: Sequence[str]) -> Any:
    from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415

    config = _rows(folder, "lambada_openai", "text", passages) | {
        "output_type": "loglikelihood",
        "doc_to_text": "{{text.split(' ')[:-1]|join(' ')}}",
        "doc_to_target": "{{' '+text.split(' ')[-1]}}",
        "metric_list": [
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
        ],
    }
    return ConfigurableTask(config=config)
