"""Claims of each paper, a file a paper; `bench.verdict.claims` has them together."""
