# class: controls
# inputs: ["κόσμε\n", "日本\n"]
# outputs: ["«κόσμε» — ΚΌΣΜΕ 🙂\n", "«日本» — 日本 🙂\n"]
# expect: PASS
# tries: nothing; reads and prints text beyond ASCII
word = input()
print(f"«{word}» — {word.upper()} \N{SLIGHTLY SMILING FACE}")
