"""The pure core of scoring: overlap with references (rouge), what an answer is like (rates, readability),
what text that knows no medicine gets (floors), and how sure all of it is (intervals)."""
