"""What a run's embeddings can do: the tables of Wang et al. 2022 and more, each figure with an interval and chance."""
