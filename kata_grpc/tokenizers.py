"""The tokenizers that the server has, and the estimate that stands in for those it has not.

This module owns vocabularies, threads and the choice between counting here and counting on a thread. What of a message
is counted is `kata_grpc.domain.tokens`. Nothing is downloaded: the vocabularies are in the packages.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Final

try:
    import quicktok
except ModuleNotFoundError:  # it has wheels for Python up to 3.13
    quicktok = None

from kata_grpc.domain.messages import File, Image, Message, Reasoning, TokenCountSource, Unknown
from kata_grpc.domain.tokens import Counted, TextCounter, countable, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ENCODINGS: Final = {
    "cl100k_base": "cl100k_base",
    "o200k_base": "o200k_base",
    # It differs from o200k_base in special tokens alone, and those are counted as the text that they look like.
    "o200k_harmony": "o200k_base",
}

_AT_ONCE = 8_192
"""How much is counted on the event loop in one go, in ASCII characters: under 2 ms for the slowest text there is."""
_SECONDS_AT_ONCE = 0.001
"""After that long on the event loop the rest goes to a thread. To count a small text is less than to hand it over."""
_SLICE = 8
"""Messages between two looks at the clock."""
_THREADS = 2
_PER_TEXT = 32
"""What a text costs beyond its length, in characters of the same time."""
_PER_MESSAGE = 512
"""What finding the surcharge of a message may cost that is not plain text."""
_DIGITS = "0123456789"
_MEASURED_CLAUDE = ("claude-2", "claude-3", "claude-sonnet-4")


def _load(encoding: str) -> TextCounter:
    if quicktok is not None:
        counter: TextCounter = quicktok.get_encoding(encoding).count
        return counter
    batch_count = importlib.import_module("toktok").batch_count

    def count(text: str) -> int:
        tokens: int = batch_count([text], encoding, threads=1)[0]
        return tokens

    return count


def _none(message: Message, count: TextCounter) -> int:  # noqa: ARG001 - a surcharge like any other
    return 0


class Tokenizers:
    """Counts tokens by the name of a tokenizer; one instance serves all tasks and threads."""

    def __init__(self, surcharge: Callable[[Message, TextCounter], int] = _none) -> None:
        """`surcharge` says what sending a message may cost beyond its content and framing, in any dialect."""
        self._surcharge = surcharge
        self._counters: dict[str, TextCounter] = {}
        self._warm = False
        self._loading = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="tokens")

    @property
    def names(self) -> tuple[str, ...]:
        """The tokenizers that count exactly."""
        return tuple(_ENCODINGS)

    def has(self, tokenizer: str) -> bool:
        """Whether counts of this tokenizer are its own, not estimates."""
        return tokenizer in _ENCODINGS

    def warm(self) -> None:
        """Load every vocabulary, which takes most of a second; call it off the event loop."""
        for encoding in set(_ENCODINGS.values()):
            self._counter(encoding)("warm")
        self._warm = True

    def close(self) -> None:
        """End the threads; what waits for one is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def count(self, messages: Sequence[Message], tokenizer: str) -> list[Counted]:
        """Count messages: little at once, much on a thread, so that the event loop goes on."""
        counts: list[Counted] = []
        if self._warm:
            # An estimate counts with two vocabularies.
            at_once = _AT_ONCE if tokenizer in _ENCODINGS else _AT_ONCE // 2
            until = monotonic() + _SECONDS_AT_ONCE
            for start in range(0, len(messages), _SLICE):
                part = messages[start : start + _SLICE]
                if not _is_small(part, at_once) or monotonic() > until:
                    break
                counts += self.count_now(part, tokenizer)
        if rest := messages[len(counts) :]:
            loop = asyncio.get_running_loop()
            counts += await loop.run_in_executor(self._threads, self.count_now, rest, tokenizer)
        return counts

    def counter(self, tokenizer: str) -> TextCounter:
        """Return what counts a text, or estimates it; it may be called from any thread."""
        return self._counter(_ENCODINGS[tokenizer]) if tokenizer in _ENCODINGS else self.estimator(tokenizer)

    def count_now(self, messages: Sequence[Message], tokenizer: str) -> list[Counted]:
        """Count messages in the calling thread."""
        source = TokenCountSource.COUNTED if self.has(tokenizer) else TokenCountSource.ESTIMATED
        count = self.counter(tokenizer)
        return [measure(message, count, source, self._surcharge(message, count)) for message in messages]

    def estimator(self, tokenizer: str) -> TextCounter:
        """Return the estimate from above for a tokenizer that the server has not."""
        o200k, cl100k = self._counter("o200k_base"), self._counter("cl100k_base")
        quarters = 5 if tokenizer.startswith(_MEASURED_CLAUDE) else 6

        def estimate(text: str) -> int:
            if not text:
                return 0
            # cl100k_base stands for vocabularies that know little but English, and the digits for those, almost all,
            # that give each digit a token of its own. No vocabulary with a token for each byte needs more than bytes
            # and a leading space.
            known = max(o200k(text), cl100k(text))
            digits = sum(map(text.count, _DIGITS))
            return min(len(text.encode()) + 1, -(-(quarters * known + 2 * digits) // 4) + 4)

        return estimate

    def _counter(self, encoding: str) -> TextCounter:
        if counter := self._counters.get(encoding):
            return counter
        with self._loading:
            if encoding not in self._counters:
                self._counters[encoding] = _load(encoding)
            return self._counters[encoding]


class PortableCounter:
    """Counts with a tokenizer here, and in another process that it is sent to, which loads the vocabulary itself."""

    __slots__ = ("_count", "_tokenizer")

    def __init__(self, tokenizer: str, tokenizers: Tokenizers | None = None) -> None:
        self._tokenizer = tokenizer
        self._count = (tokenizers or Tokenizers()).counter(tokenizer)

    def __call__(self, text: str) -> int:
        """Count the tokens of a text."""
        return self._count(text)

    def __reduce__(self) -> tuple[type[PortableCounter], tuple[str]]:
        return PortableCounter, (self._tokenizer,)


def _is_small(messages: Sequence[Message], most: int) -> bool:
    """Whether counting takes no longer than `most` ASCII characters do; looks no further than it must."""
    for message in messages:
        text = message.text
        if text and not message.parts and not message.name and not text.isspace():
            most -= _PER_TEXT + (len(text) if text.isascii() else 4 * len(text))
        else:
            most -= _PER_MESSAGE
            for piece in countable(message):
                most -= _weight(piece)
                if most < 0:
                    return False
        if most < 0:
            return False
    return True


def _weight(piece: str | Image | File | Reasoning | Unknown) -> int:
    match piece:
        case str():
            # A character beyond ASCII is up to four bytes, and most of them are rare in the vocabulary.
            return _PER_TEXT + (len(piece) if piece.isascii() else 4 * len(piece))
        case Image():
            return 64 * _PER_TEXT
        case File(source):
            return _PER_TEXT + len(source.data or b"")
        case Reasoning(text):
            return _weight(text)
        case Unknown():
            return _weight(piece.json)
