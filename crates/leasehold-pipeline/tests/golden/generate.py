"""Writes texts.json and vectors.npy: what the reference says about texts that are easy to get wrong.

The reference is transformers on PyTorch in f32: truncated at 256 tokens with the special ones counted,
mean pooled over the attention mask, scaled to length one. sentence-transformers is asked for the same
texts and must agree, so a mistake in the pooling written here cannot go unseen.

    pip install torch transformers sentence-transformers
    python generate.py MODEL_DIRECTORY
"""

import json
import pathlib
import sys

import numpy
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

HERE = pathlib.Path(__file__).parent
LIMIT = 256

SENTENCE = "The harbour master kept a ledger of every boat, its owner and the day its lease ran out. "

TEXTS = [
    "A span is a short view of a buffer.",
    "The cat sits outside.",
    "How do I return a rented buffer while another thread is still reading it?",
    "MEMORY, Memory and memory are one word to an uncased model.",
    "x",
    "7",
    "?",
    "é",
    "猫",
    "   leading, trailing   and\tinner\u00a0white space \r\n",
    "don't-stop: (e.g. 3.14159%) [see p. 12] <b>bold</b> a_b+c=d/e@f.org #1 $5 ~ ^ `q`",
    "https://www.example.org/a/path?with=a&query=string#and-fragment",
    "fn main() { let owner = pool.rent::<u32>(512); println!(\"{}\", owner.len()); }",
    "Ünïcödé àccénts façade naïve Ångström coöperate résumé e\u0301tude",
    "Straße, Œuvre, Łódź, İstanbul, ﬁne ligatures and ½ fractions",
    "Быстрая бурая лиса перепрыгивает через ленивую собаку.",
    "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.",
    "素早い茶色の狐が、のろまな犬を飛び越える。カタカナとひらがな。",
    "敏捷的棕色狐狸跳过了懒狗。",
    "다람쥐 헌 쳇바퀴에 타고파",
    "الثعلب البني السريع يقفز فوق الكلب الكسول",
    "השועל החום המהיר קופץ מעל הכלב העצלן",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है",
    "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ",
    "emoji 🦊🐶 👩‍👩‍👧‍👦 flags 🇮🇸 and a zero\u200bwidth space, soft\u00adhyphen, bell\u0007",
    "a" * 101 + " is too long for one word, " + "b" * 100 + " is not",
    "antidisestablishmentarianism floccinaucinihilipilification",
    SENTENCE * 6,
    SENTENCE * 40,
    "猫と犬 " * 300,
]


def pooled(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModel.from_pretrained(directory, dtype=torch.float32).eval()
    rows = []
    with torch.inference_mode():
        for text in TEXTS:
            batch = tokenizer([text], truncation=True, max_length=LIMIT, padding=False, return_tensors="pt")
            hidden = model(**batch).last_hidden_state.double()
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            rows.append(torch.nn.functional.normalize(mean).numpy()[0])
    return numpy.stack(rows)


def main():
    directory = sys.argv[1]
    reference = pooled(directory)
    peer = SentenceTransformer(directory, device="cpu")
    peer.max_seq_length = LIMIT
    other = peer.encode(TEXTS, normalize_embeddings=True, batch_size=1).astype(numpy.float64)
    worst = (reference * other).sum(1).min()
    assert worst > 1 - 1e-6, f"the two references differ: {worst}"
    (HERE / "texts.json").write_text(json.dumps(TEXTS, ensure_ascii=True, indent=0) + "\n")
    numpy.save(HERE / "vectors.npy", reference.astype("<f4"))
    print(f"{len(TEXTS)} texts; worst cosine between the two references {worst:.9f}")


if __name__ == "__main__":
    main()
