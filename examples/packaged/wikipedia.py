"""106 articles of Wikipedia from the test data of ``gensim`` (CC BY-SA 3.0)."""

from __future__ import annotations

import bz2
import html
import re
from pathlib import Path

from examples.packaged.files import write_text
from examples.packaged.package import Package, PackageError
from examples.packaged.registry import offers

__all__ = ["wikipedia"]

PACKAGE = Package("wheel", "gensim==4.4.0")
PAGE = re.compile(r"<page>(.*?)(?:</page>|\Z)", re.DOTALL)
NESTED = re.compile(r"\{\{[^{}]*\}\}|\{\|[^{}]*\|\}")
MARKUP = (
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"<ref[^>/]*/>|<ref.*?</ref>", re.DOTALL), ""),
    (re.compile(r"<(math|gallery|source|timeline|nowiki|div|table).*?</\1>", re.DOTALL), ""),
)
LINKS = (
    (re.compile(r"\[\[(?:File|Image|Category)\s*:[^\[\]]*(?:\[\[[^\[\]]*\]\][^\[\]]*)*\]\]"), ""),
    (re.compile(r"\[\[(?:[^|\]]*\|)?([^\]]*)\]\]"), r"\1"),
    (re.compile(r"\[https?://\S+ ?([^\]]*)\]"), r"\1"),
    (re.compile(r"'{2,}|<[^>]+>"), ""),
    (re.compile(r"^[*#:;|!{}].*$", re.MULTILINE), ""),
    (re.compile(r"^=+ *(.*?) *=+ *$", re.MULTILINE), r" = \1 = "),
    (re.compile(r"\n{2,}"), "\n"),
)


@offers("wikipedia", PACKAGE)
def wikipedia(into: Path) -> Path:
    """Plain text of 106 articles, every tenth for the test: `text:data/wikipedia` of mase reads it."""
    found = sorted((PACKAGE.folder / "gensim/test/test_data").glob("enwiki-latest-pages-articles1*.bz2"))
    if not found:
        raise PackageError(f"{PACKAGE.spec} holds no articles")
    articles = _articles(bz2.decompress(found[0].read_bytes()).decode("utf-8", "replace"))
    target = into / "wikipedia"
    write_text(target / "test.txt", "\n\n".join(articles[::10]) + "\n")
    write_text(target / "train.txt", "\n\n".join(a for i, a in enumerate(articles) if i % 10) + "\n")
    return target


def _articles(dump: str) -> list[str]:
    found: list[str] = []
    for page in (match[1] for match in PAGE.finditer(dump)):
        text = re.search(r"<text[^>]*>(.*?)(?:</text>|\Z)", page, re.DOTALL)
        is_article = "<ns>0</ns>" in page
        if text and is_article and not text[1].lstrip().lower().startswith("#redirect"):
            found.append(_plain(text[1]))
    return found


def _plain(markup: str) -> str:
    """The words of an article, without templates, tables, references and links."""
    text = html.unescape(markup)
    for pattern, by in MARKUP:
        text = pattern.sub(by, text)
    before = ""
    while before != text:  # templates nest
        before, text = text, NESTED.sub("", text)
    for pattern, by in LINKS:
        text = pattern.sub(by, text)
    return text.strip()
