"""SFT data mixes: operators on streams of demonstrations, and their composition."""
