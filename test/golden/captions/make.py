"""Writes cleaned.json: captions, and what LlamaGen's own cleaning makes of them.

    python make.py LlamaGen/language/t5.py        (ftfy 6.3, beautifulsoup4)

"same": [[caption, cleaned], ...]; "other": the same for captions that are known to be cleaned otherwise here: text that was
decoded wrongly once (ftfy repairs it), and markup that is broken.
"""

import importlib.util
import json
import random
import sys
import warnings
from pathlib import Path

SAME = [
    "A photo of a cat",
    "  An Astronaut riding a HORSE on Mars, artstation, hd, dramatic lighting.  ",
    "",
    "   ",
    "<person> walks the dog of <person>",
    "see https://example.com/a/b?c=d for more, or www.example.org/cats and cats.co.uk, mail me@example.net",
    "http://x.ru https:/y www:abc example.it/path-1/2 not.a.link",
    "photo by @some_one and @Jane2, @",
    "<b>bold</b> and <i class=\"x > y\">italic</i><br/> done",
    "a < b and c > d, 5<6, <3 hearts",
    "fish &amp; chips &quot;to go&quot; &lt;tag&gt; &#39;q&#39; &#x41;&nbsp;&copy; 2020 &hellip;",
    "fish &amp;amp; chips &amp;quot;x&amp;quot; AT&T R&D",
    "一只猫 a cat 猫 ㈱ ㍻ 㐀 ㇰ end",
    "hiragana ひらがな and カタカナ stay, 한국어 too",
    "dashes – — ― ‒ − ‐ 〜 － end",
    "`ticks´ «guillemets» “curly” ‘single’ ¨dots",
    "ip 192.168.0.1 and 1.2.3.4.5 gone",
    "talk 12:30   ",
    "at 3:45 pm",
    "line\\nbreak and real\nbreak\tand tab",
    "#1 #123 #1234 #12345 #hashtag 123456 12345 1234567890",
    "IMG_2034.JPG my-file.png report.pdf, movie.mp4 a.b.webp",
    "\"\"\"SALE\"\"\" ''now'' wait... what.. ok.",
    "***AUSVERKAUFT*** (yes) [no] {maybe} a|b a\\b a/b 50º ½ ¾ ¿que? ¡hola! §1 ~x • y · z ® © ™",
    "one . two . three .",
    "this-is-my-cute-cat and this_is_my_cute_cat",
    "a-b c-d only three - dashes",
    "jc6640 abcd6640 jc6640vc 6640vc231 j2d1a2a x1y2z3 a1 b22",
    "Free shipping worldwide free shipping, free download, download free, downloads",
    "click for details, click on this now, clicked on",
    "png image and jpg images, a pdf, png, jpeg2000",
    "page 12 of book, page twelve, homepage 3",
    "1920x1080 wallpaper, 12 x 5, 3.5x4.5 cm, 10×20, 5х6",
    "colon : here, a :b, c: d",
    "no,space.after/punctuation 3,5 and 3.5, a,b",
    "\"quoted whole caption\"",
    "'single quoted'",
    "\"only front",
    "'_lead and trail_'",
    ":;, odd start",
    "odd end -",
    "odd end +",
    ".hidden",
    ".hidden file",
    "%41 percent %20encoded%2C text+with+plus 100% sure 5%2",
    "%E2%9C%A8 sparkle %C3%A9 %ff broken %zz",
    "caf\u00e9 cafe\u0301 A\u030angstr\u00f6m",
    "ﬁne ﬂow oﬀer ﬃ ﬄ Ĳ ǆ",
    "Ｆｕｌｌ ｗｉｄｔｈ １２３！ ideographic　space",
    "zero\u200bwidth no\u00a0break bom\ufeff line\u2028sep para\u2029sep nel\u0085next",
    "control \x01\x02 \x1b[31mred\x1b[0m del\x7f",
    "emoji 😀 👍🏽 👨‍👩‍👧 ❤️ 🇩🇪",
    "русский текст, ГОД 2020",
    "ΟΔΥΣΣΕΥΣ İstanbul STRASSE straße",
    "قطة على النافذة",
    "बिल्ली खिड़की पर १२३४५६७",
    "a photo of the number 42, 1,000,000 and 3.14159",
    "e.g. a cat, i.e. not a dog, etc.",
    "mr. smith's dog; mrs. o'neil's cat",
    "an oil painting in the style of Vincent van Gogh: swirling stars, a cypress tree (1889)",
    "A highly detailed portrait, 85mm f/1.8, ISO 100, 4k, 8K, uhd, #photography @nikon",
    "Don't, won't, can't — it's \"fine\"",
    "<!-- comment -->kept <script>alert(1)</script><style>p{}</style> text",
    "&unknown; &nosemicolon &ampersand; &#0; &#128512; &#x1F600;",
    "multiple     spaces\n\n\nand lines",
    "trailing comma,",
    "a -- b --- c ---- d",
    "x_1_2_3_4 snake_case_name_here",
    "test@example.com user@site.org/",
    "TV-14 (2001) S01E02 1080p x264 AAC5.1",
    "woman, 1girl, solo, long_hair, looking_at_viewer, best_quality",
    "100%25 double %2525 encoded %26amp%3B",
    "tab\tseparated\tvalues \x1c\x1d file separators",
    "a.b.c.d. ... ,,, ;;; ::: !!! ???",
    "the end.",
]
OTHER = [
    "schÃ¶n mojibake â€œquotedâ€\x9d",
    "c1 controls \x93quoted\x94",
    "broken <b tag never closed",
    "an attribute <a href='x>y</a> with a quote left open",
]
PIECES = ["cat", "Dog", " ", " ", " ", ", ", ". ", "-", "_", "#", "@", "&", "12", "345", "123456", "x", ".png", "\"", "'", "(", ")", "/", ":", " : ", "...", "http://", "a.com", "é", "猫", "—", "page ", "free shipping", "<b>", "</b>", "+", "\\n", "\n", "&amp;", "&quot;", "1x2", "ab12cd", "😀", "½"]


def main():
    spec = importlib.util.spec_from_file_location("reference", sys.argv[1])
    reference = importlib.util.module_from_spec(spec)
    warnings.simplefilter("ignore")
    spec.loader.exec_module(reference)
    embedder = reference.T5Embedder.__new__(reference.T5Embedder)
    embedder.use_text_preprocessing = True
    rng = random.Random(17)
    drawn = ["".join(rng.choice(PIECES) for _ in range(rng.randint(1, 14))) for _ in range(80)]
    table = lambda captions: ",\n".join("  " + json.dumps([text, embedder.text_preprocessing(text)]) for text in captions)
    out = f'{{\n "same": [\n{table(SAME + drawn)}\n ],\n "other": [\n{table(OTHER)}\n ]\n}}\n'
    (Path(__file__).parent / "cleaned.json").write_text(out)


main()
