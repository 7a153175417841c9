"""Loading models in one place (load), and batched greedy answers (generate)."""
