"""The words of a scene: its prompt with the cast's words in place of `{names}`, and the look after it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from aveo3.near_names import nearest

if TYPE_CHECKING:
    from aveo3.film.scene import CastMember
    from aveo3.film.story import Story

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_DOUBLED = {"{{": "{", "}}": "}"}


class Piece(NamedTuple):
    """A piece of a prompt: plain text, a name in braces, or a brace that stands alone."""

    text: str
    name: str | None = None
    lone: bool = False


def pieces(text: str) -> Iterator[Piece]:
    """The pieces of a prompt, in order."""
    for match in _PIECE.finditer(text):
        whole = match[0]
        if whole in _DOUBLED:
            yield Piece(_DOUBLED[whole])
        elif match[1] is not None:
            yield Piece(whole, match[1].strip())
        else:
            yield Piece(whole, lone=whole in "{}")


def problems_in(text: str, cast: Mapping[str, object]) -> Iterator[str]:
    """One sentence for each name that is not in the cast, and each brace that stands alone."""
    for piece in pieces(text):
        if piece.lone:
            yield f"has a lone {piece.text!r}: write {piece.text * 2} for the sign, or a name in braces, as in {{mara}}"
        elif piece.name is not None and piece.name not in cast:
            near = nearest(piece.name, cast)
            known = f"the cast has {', '.join(cast)}" if cast else "the story has no cast"
            hint = f"did you mean {{{near}}}?" if near is not None else f"{known}, and {{{{…}}}} is for plain braces"
            yield f"{piece.text} is not in the cast: {hint}"


def named_in(text: str, cast: Mapping[str, CastMember]) -> list[str]:
    """The members of the cast that a prompt names, in the order of their first mention."""
    return list(dict.fromkeys(piece.name for piece in pieces(text) if piece.name in cast and piece.name is not None))


def expanded(text: str, cast: Mapping[str, CastMember]) -> str:
    """`text` with words for names: a member with a name is described the first time, and only named after that."""
    met: set[str] = set()
    words = []
    for piece in pieces(text):
        if piece.name is None:
            words.append(piece.text)
            continue
        member = cast[piece.name]
        if member.name is None:
            words.append(member.words)
        else:
            words.append(member.name if piece.name in met else f"{member.name}, {member.words},")
        met.add(piece.name)
    whole = re.sub(r",(\s*[,.;:!?])", r"\1", "".join(words)).removesuffix(",").strip()
    begins_with_a_name = re.match(r"\s*\{[^{]", text) is not None
    return whole[:1].upper() + whole[1:] if begins_with_a_name else whole


def words_of(story: Story, prompt: str) -> str:
    """What a scene with this prompt sends as its text: cast expanded, and the look as a paragraph of its own."""
    if not prompt.strip() or not story.look.strip():
        return expanded(prompt, story.cast)
    return expanded(f"{prompt.rstrip()}\n\n{story.look.strip()}", story.cast)
