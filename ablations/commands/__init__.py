"""The commands of ``ablations`` beside ``run``: what is there, what a run was, how two compare, and what works here."""
