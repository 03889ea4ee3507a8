"""Documents and code are plain English: docs/style.md has the rules, and this test those that a machine can check."""

import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MODULES = sorted(p.relative_to(ROOT).as_posix() for part in ("relay", "workers") for p in ROOT.glob(f"{part}/**/*.py"))
MOST_WORDS = 32
RIDDLES = {
    r"\bwhat (?:comes|came|waits|stands|goes|arrives)\b(?! behind)": "name the subject: events, rows, deliveries",
    r"\bwho (?:verifies|receives|sends|asks|wants it|runs it)\b": "name the subject: the receiver, the operator",
    r"\bwhoever\b": "name the subject: the operator, a contributor",
    r"\b(?:is|are) told (?:in|of|by|at once)\b": "say which page or message describes it",
    r"\btells? of\b": "use: describes, reports",
    r"\bno \w+ (?:is|are) all of them\b": "say what to leave out, and what that means",
    r"\bby comma\b": "use: separated by commas",
    r"\bat most once it\b": "say how often",
    r"\bgoes? on\b|\bgoing on\b": "use: continues",
    r"\bmade anew\b|\banew\b": "use: again, from the start",
    r"\bmends?\b|\bmended\b": "use: repair, correct, fix",
    r"\blook-ups?\b": "use: lookup",
    r"\bfor (?:it|they) (?:is|are|was|were|would)\b": "use: because",
    r"(?<=, )for (?:the|a|an|all|nobody|somebody|who)\b[^.,]* (?:is|are|was|were|can|would)\b": "use: because",
    r"\b(?<!there )is no (?:event|failure|row|change|measurement)\b": "use: is not",
    r"\bsomebody else\b": "name the subject",
    r"\bbeside\b": "use: next to, in addition to, together with",
    r"\bmeanwhile\b": "say when",
    r"\bgive or take\b": "use: about, ±",
}
"""What made sentences hard to read, and what to do instead."""


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_no_riddles(page: str) -> None:
    """No pattern of the list above stands in a page."""
    text = prose(page)
    found = [
        f"{match[0]!r}: {advice}" for riddle, advice in RIDDLES.items() for match in re.finditer(riddle, text, re.I)
    ]
    assert found == []


@pytest.mark.parametrize("module", MODULES)
def test_modules_have_no_riddles(module: str) -> None:
    """Nor do docstrings, comments, and texts of errors and logs."""
    with (ROOT / module).open("rb") as source:
        tokens = [t for t in tokenize.tokenize(source.readline) if t.type in (tokenize.STRING, tokenize.COMMENT)]
    found = [
        f"line {token.start[0]}: {match[0]!r}: {advice}"
        for token in tokens
        for riddle, advice in RIDDLES.items()
        for match in re.finditer(riddle, re.sub(r"`[^`\n]*`", "CODE", " ".join(token.string.split())), re.I)
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES)
def test_sentences_are_short(page: str) -> None:
    """One idea per sentence."""
    long = [each for each in sentences(prose(page)) if len(each.split()) > MOST_WORDS]
    assert long == []


@pytest.mark.parametrize(
    "riddle", ["so that who verifies can't sign", "What comes for an endpoint", "It is told in x."]
)
def test_the_check_finds_riddles(riddle: str) -> None:
    """The sentences that the list was made for."""
    assert any(re.search(each, riddle, re.I) for each in RIDDLES)


def test_the_check_counts_sentences() -> None:
    """Abbreviations and file names end no sentence; items of lists and paragraphs do."""
    assert sentences("One is e.g. two, see a.md here. Three.\n\n- four\n- five\n\nsix") == [
        "One is e.g. two, see a.md here.", "Three.", "four", "five", "six",
    ]  # fmt: skip


def prose(page: str) -> str:
    """A page without its code, tables, links' targets and HTML comments."""
    text = (ROOT / page).read_text()
    text = re.sub(r"^ *```.*?^ *```$", "\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    if page == "docs/style.md":
        text = re.sub(r"^\|.*$|^1\. .*?(?=^2\. )", "\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`", "CODE", text)


def sentences(text: str) -> list[str]:
    """What a page's paragraphs and items of lists say, sentence by sentence; tables and headings are none."""
    text = re.sub(r"^(?:\||#).*$", "\n", text, flags=re.MULTILINE)
    blocks = re.split(r"\n\s*\n|\n *(?:[-*]|\d+\.) ", "\n" + text)
    found: list[str] = []
    for each in blocks:
        block = re.sub(r"^(?:[-*]|\d+\.) ", "", " ".join(each.split()))
        found += re.split(r"(?<=[.:;!?])(?<!e\.g\.)(?<!i\.e\.)\*{0,2} (?=[A-Z`*\"(\[])", block)
    return [each for each in found if each]
