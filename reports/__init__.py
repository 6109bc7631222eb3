"""From stored runs to statistics, tables, figures and markdown. No torch, no hydra."""
