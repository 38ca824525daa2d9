"""Self-supervised training: AVC, then AVSA from the AVC weights."""
