"""Writes small tokenizers of the kinds that the families use, and what the reference library encodes with them.

    python make.py        (tokenizers 0.23, sentencepiece 0.2 with protobuf)

NAME/tokenizer.json, some with NAME/tokenizer_config.json; encodings.json: name -> [[text, ids], ...].

- janus: byte-level BPE behind DeepSeek-LLM's splits, added tokens special and not; the begin token comes from the
  configuration, as the Llama class of `transformers` adds it.
- chameleon: byte-level BPE behind Chameleon's splits, digits and isolated punctuation, image and reserved tokens.
- llama: BPE with byte fallback, the kind of SentencePiece conversions.
- t5: unigram, compiled character map, words split at white space, end token behind.
- t5-metaspace: the same vocabulary in the form of newer conversions.

All vocabularies are trained without the splits before them, so that pieces cross every border: a split in the wrong place
shows. The character map holds some rules of nmt_nfkc: all of them would take a third of a megabyte.
"""

import base64
import json
import random
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent

SUBJECTS = ["a cat", "two dogs", "an astronaut", "the old castle", "a red bicycle", "an oil painting", "3 robots", "a bowl of soup", "the queen", "my grandmother's house"]
PLACES = ["on the moon", "in a forest", "under the sea", "at night", "in New York", "near a river, 1920", "by Van Gogh", "with 12 candles", "in the snow", "on a wooden table"]
STYLES = ["photorealistic, 4k", "watercolour", "pixel art", "highly detailed", "soft light", "cinematic", "in the style of Monet", "85mm f/1.8", "black & white", "don't blur it"]
CORPUS = [f"{s} {p}, {t}." for s in SUBJECTS for p in PLACES for t in STYLES]
CORPUS += ["Generate an image of 768x768 according to the following prompt:\na photo", "<|User|>: hello\n\n<|Assistant|>:"] * 20
CORPUS += ["wait... what?!! (no) [yes] 1234 19 19 ½½ ①② ٠١ !! ... --- a\u00a0b \u3000 \n\n\r\n \t  x    y\ufeff!\u0085!"] * 30
CORPUS += ["Le café est très agréable à l'été, où naïveté", "Der Bär läuft über die Straße", "русский текст о кошке", "猫が窓の外を見ている", "一只猫坐在窗台上看雨", "고양이가 창밖을 본다", "γάτα στο παράθυρο"] * 30

TEXTS = [
    "",
    " ",
    "   ",
    "a",
    "a cat on the moon",
    " leading space",
    "trailing space ",
    "two  spaces   three    four     five",
    "tabs\tand\t\ttabs",
    "new\nline\n\ntwo\r\nwindows\n",
    "\n",
    "\n \n  \n",
    " " * 40 + "far",
    "no-break\u00a0space, em\u2003space, ideographic\u3000space, zero\u200bwidth, bom\ufeffhere, nel\u0085there, line\u2028sep",
    "A photo of 2 cats, 17 dogs and 1234567890 birds in 1984.",
    "3.14159 1,000,000 50% $99.99 0x1F v2.0-beta",
    "Arabic digits ٠١٢٣٤, Devanagari ०१२३, Roman Ⅷ, fraction ½ ¾, superscript x² y³, circled ①②",
    "It's the dog's; they're, we've, I'm, you'll, he'd, DON'T",
    "wait... what?! no!! (yes) [maybe] {perhaps} <never> a/b\\c a_b a-b a--b a—b",
    "!!!???...,,,;;;:::",
    "what?! ... no!! 1 234 19 19 19 ½½ ①②①② ٠١٠١ --- .. a\u00a0b x\ufeff!\u0085! \ufeff \u0085",
    "\"quoted\" 'single' “curly” ‘curly’ «guillemets» 「kagi」",
    "e-mail me@example.com or https://example.com/a?b=c&d=e#f",
    "café naïve Ångström Straße ŒUVRE",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m o\u0302\u0323",
    "ﬁne ﬂow ﬀ Ｆｕｌｌ ｗｉｄｔｈ １２３ ～ ｶﾀｶﾅ",
    "emoji 😀 😃😄 👍🏽 ❤️ 👨‍👩‍👧‍👦 🇩🇪🇫🇷 ☕ ✨",
    "🎨",
    "猫",
    "一只猫坐在窗台上看雨，非常安静。",
    "猫が窓の外を見ている。カタカナ ひらがな",
    "고양이가 창밖을 본다",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "русский текст о кошке, ещё раз",
    "γάτα στο παράθυρο",
    "قطة على النافذة",
    "חתול על החלון",
    "แมวบนหน้าต่าง",
    "बिल्ली खिड़की पर क्ष",
    "mixed 中文English한국어русский123",
    "math ∑∫√∞≈≠±×÷ ℝ ℕ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛",
    "symbols ©®™§¶†‡•…‰ ÷ õ Ã",
    "control \x01\x02\x1f\x7f chars",
    "null \x00 byte",
    "private \ue000 unassigned \U0003fffd replacement \ufffd",
    "<|User|>: a cat\n\n<|Assistant|>:<begin_of_image>",
    "<|User|>: Generate a stunning princess from kabul\n\n<|Assistant|>:<begin_of_image>",
    "<｜begin▁of▁sentence｜>again<｜▁pad▁｜><｜▁pad▁｜> <|User|> <|user|>",
    "<s>in the text</s><pad><unk><mask>",
    "<racm3:break><reserved08828><reserved08828>IMGIMGAZIMGIMGBCZ<reserved08799><eoss><reserved08706>",
    "<racm3:break> <reserved08799> IMGIMGAAZ IMGIMGJJJJZ IMGIMG AZ <sentinel:0> <sentinel:12>",
    "Generate an image of 768x1024 according to the following prompt:\nA dog.<reserved08706>",
    "<extra_id_0> fills <extra_id_1>the blanks <extra_id_2>",
    "▁lower▁one▁eighth▁block ▁ ▁▁",
    "<0x41> <0xE2><0x96><0x81>",
    "Antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababababab cacacacaca thethethe",
    "x" * 300,
    "the cat " * 40,
]

POOL = list("abcdefghijklmnopqrstuvwxyz") * 3 + list("ABCDEFGHIJ0123456789") * 2 + list(" " * 30) + list("\n\t.,!?-'\"()&;:/") * 2
POOL += list("éàüßñøåÃõ÷½²ﬁ①Ｆ猫犬窓がぁ고양русγα☕✨😀🏽\u200d\ufe0f\u0301\u0308\u0327\u3000\u00a0\u2014\u2019")


def random_texts(seed, count):
    rng = random.Random(seed)
    return ["".join(rng.choice(POOL) for _ in range(rng.randint(1, 40))) for _ in range(count)]


def special(content, normalized=False, **more):
    return AddedToken(content, special=True, normalized=normalized, **more)


def save(name, tokenizer, config=None):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    data = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n")


def byte_level(pre_tokenizer, first, size):
    """A BPE trained on the corpus; `first` are the tokens with the lowest ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=first, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    words = [line[at : at + 12] for line in CORPUS for at in range(0, len(line), 6)]
    tokenizer.train_from_iterator(words, trainer)
    tokenizer.pre_tokenizer = pre_tokenizer
    return tokenizer


def make_janus():
    # the letters, punctuation and ideographs that DeepSeek-LLM's file lists, shortened to blocks
    letters = "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𞤀-𞥃"
    splits = [r"[\r\n]", rf"\s?[{letters}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+"]
    pre = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(split), "isolated") for split in splits]
        + [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer = byte_level(pre, [], 700)
    tokenizer.normalizer = normalizers.Sequence([])
    begin, end, pad = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
    tokenizer.add_tokens([AddedToken(c, normalized=True, special=False) for c in "õ÷Ã"])
    tokenizer.add_special_tokens([special(begin, True), special(end, True), special(pad, True)])
    tokenizer.add_special_tokens([special(t) for t in ["<image_placeholder>", "<patch_placeholder>", "<begin_of_image>", "<end_of_image>", "<|User|>", "<|Assistant|>"]])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    token = lambda content: {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    config = {"add_bos_token": True, "add_eos_token": False, "bos_token": token(begin), "eos_token": token(end), "pad_token": token(pad), "tokenizer_class": "LlamaTokenizer", "unk_token": None, "use_default_system_prompt": True}
    save("janus", tokenizer, config)
    # what the class does with this configuration
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin}:0 $A:0", special_tokens=[(begin, tokenizer.token_to_id(begin))])
    return tokenizer


def make_chameleon():
    pre = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex("<sentinel:[0-9]+>"), "isolated"),
        pre_tokenizers.Split(Regex("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"), "isolated"),
        pre_tokenizers.Split(Regex("([\t\n]|    |  )"), "isolated"),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Punctuation("isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    letters = lambda code: "".join("ABCDEFGHIJ"[int(digit)] for digit in str(code))
    first = ["<s>", "<pad>", "</s>", "<unk>"] + [f"IMGIMG{letters(code)}Z" for code in range(48)]
    first += ["<eoss>", "<racm3:break>"] + [f"<sentinel:{i}>" for i in range(4)] + ["<reserved08706>"] + [f"<reserved{8796 + n:05}>" for n in range(41)]
    tokenizer = byte_level(pre, [special(t) for t in first], 760)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s>:0 $A:0", pair="<s>:0 $A:0 $B:1", special_tokens=[("<s>", 0)])
    save("chameleon", tokenizer)
    return tokenizer


def make_llama():
    trained = sentencepiece_model("bpe", 520, ["--byte_fallback=true"])
    pieces = [piece.piece for piece in trained.pieces]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for piece in pieces:
        if piece.startswith("<0x") or len(piece) < 2:
            continue
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        merges += sorted(pairs, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
    merges.sort(key=lambda pair: vocab[pair[0] + pair[1]])
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.ByteFallback()
    tokenizer.add_special_tokens([special("<unk>"), special("<s>"), special("</s>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    save("llama", tokenizer)
    return tokenizer


def sentencepiece_model(kind, size, more):
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join(line.replace("\n", " ") for line in CORPUS))
        arguments = [f"--input={corpus}", f"--model_prefix={folder}/m", f"--model_type={kind}", f"--vocab_size={size}", "--hard_vocab_limit=false", "--minloglevel=2", *more]
        sentencepiece.SentencePieceTrainer.train(" ".join(arguments))
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString((Path(folder) / "m.model").read_bytes())
        return model


def character_map():
    """The rules of nmt_nfkc for the characters of the texts and some blocks around them, compiled again."""
    full = normalizers.Precompiled(sentencepiece_model("unigram", 200, ["--normalization_rule_name=nmt_nfkc"]).normalizer_spec.precompiled_charsmap)
    characters = set("".join(TEXTS + random_texts(1, 400))) | {chr(code) for code in [*range(1, 0x180), *range(0x2000, 0x2070), *range(0xFF01, 0xFF20), 0x3000, 0xFEFF, 0xFFFD]}
    rules = {}
    for character in sorted(characters):
        changed = full.normalize_str(character)
        if changed != character and character not in "\r\n\t\x00":
            rules[character] = changed
        parts = unicodedata.normalize("NFD", character)
        if 1 < len(parts) and full.normalize_str(parts) == character:
            rules[parts] = character
    for character in "\n\r\t":
        rules[character] = " "
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.tsv"
        row = lambda text: " ".join(f"{ord(c):X}" for c in text)
        path.write_text("".join(f"{row(source)}\t{row(target)}\n" for source, target in rules.items()))
        return sentencepiece_model("unigram", 200, [f"--normalization_rule_tsv={path}"]).normalizer_spec.precompiled_charsmap


def make_t5():
    trained = sentencepiece_model("unigram", 600, ["--split_by_whitespace=false --split_by_number=false --split_by_unicode_script=false --pad_id=0", "--eos_id=1", "--unk_id=2", "--bos_id=-1"])
    vocab = [(piece.piece, round(piece.score, 6)) for piece in trained.pieces]
    extras = [f"<extra_id_{i}>" for i in reversed(range(4))]
    charsmap = character_map()

    def build(normalizer, pre_tokenizer, **more):
        tokenizer = Tokenizer(models.Unigram(vocab + [(extra, 0.0) for extra in extras], unk_id=2, byte_fallback=False))
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoders.Metaspace()
        tokenizer.add_special_tokens([special(t) for t in ["<pad>", "</s>", "<unk>"]] + [special(t, **more) for t in extras])
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
        return tokenizer

    precompiled = normalizers.Precompiled(charsmap)
    split = build(precompiled, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]))
    save("t5", split)
    newer = normalizers.Sequence([precompiled, normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    metaspace = build(newer, pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"), lstrip=True, rstrip=True)
    save("t5-metaspace", metaspace)
    return split, metaspace, charsmap


def main():
    split, metaspace, charsmap = make_t5()
    tokenizers = {"janus": make_janus(), "chameleon": make_chameleon(), "llama": make_llama(), "t5": split, "t5-metaspace": metaspace}
    texts = TEXTS + random_texts(7, 60)
    encodings = {name: [[text, tokenizer.encode(text).ids] for text in texts] for name, tokenizer in tokenizers.items()}
    rows = [f" {json.dumps(name)}: [\n" + ",\n".join("  " + json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in table) + "\n ]" for name, table in encodings.items()]
    (HERE / "encodings.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")
    normalizer = normalizers.Precompiled(charsmap)
    normalized = [[text, normalizer.normalize_str(text)] for text in texts]
    (HERE / "normalized.json").write_text("[\n" + ",\n".join(" " + json.dumps(row, ensure_ascii=True) for row in normalized) + "\n]\n")


main()
