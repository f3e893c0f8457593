"""Texts that several tests share: a short one to learn from, and all that a file can hold."""

from hypothesis import strategies as st

from minidistill.vocabulary import BOS, EOS, PAD

SPECIALS = (PAD, BOS, EOS)
STORY = (
    "The lamp was out. “Who put it out?” she asked; nobody knew, nobody ever knew.\n\n"
    "他没有回答。她又问:“灯呢?”灯灭了。The lamp, the lamp - the 3,000 lamps weren't lit.\n"
) * 3
# Every text that a UTF-8 file can hold, with more of what breaks tokenizers.
AWKWARD = [
    "<pad>",
    "<unk>",
    "<0xE4>",
    "\r\n",
    "  ",
    "\x00",
    "🦊",
    "👩‍👩‍👧",
    "你好",
    "e\u0301",
    "don't",
    "\u2028",
]
texts = st.lists(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=7) | st.sampled_from(AWKWARD),
    max_size=11,
).map("".join)
some_texts = texts.filter(lambda text: text.strip() != "")
