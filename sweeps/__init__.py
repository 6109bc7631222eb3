"""Hydra config root: values only. One folder per axis of choice; ``sweep/`` holds one file per table or figure."""
