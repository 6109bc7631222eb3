"""Problems, their tokenizer and the demonstrations that SFT learns from."""
