"""What a run learned, or what a dataset holds, as one HTML page that needs nothing else."""
