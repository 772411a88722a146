"""Small models that are fine-tuned otherwise than their protocol has it."""

from dataclasses import replace

from bench.small_models.tuned import Tuned


def test_only_what_is_named_differs_and_the_label_says_it(small):
    tuned = Tuned(small, "5 steps", steps=5)
    assert tuned.trainer.settings == replace(small.settings, tuning=replace(small.settings.tuning, steps=5))
    assert tuned.label == f"{small.label}, 5 steps"
    assert tuned.settings == small.settings, "the record compares them with the protocol's"


def test_it_reads_the_documents_and_the_task_that_are_read_already(small):
    tuned = Tuned(small, "5 steps", steps=5)
    assert tuned.trainer.read is small.trainer.read and tuned.text_sha256 == small.text_sha256
