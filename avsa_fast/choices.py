"""Choices that options of the commands offer.

They are apart from the packages that use and export them, so that a command reads its options without loading torch.
"""

from typing import Literal

AudioView = Literal["foa_iv", "foa", "stereo", "stereo_icf", "beamform", "mono"]
CropChoice = Literal["yolo", "random"]
DetectorViews = Literal["erp", "tiles"]
Engine = Literal["local", "ray"]
Format = Literal["folders", "ucf101", "hmdb51", "tau2021", "eigenscape", "esc50"]
Gains = Literal["sn3d", "n3d", "fuma"]  # normalisation of ambisonic channels
Input = Literal["video", "audio", "both"]
Layout = Literal["tree", "pairs", "starss", "sphere360", "yt-ambigen"]
MapKind = Literal["embeddings", "energy"]
Precision = Literal["fp32", "bf16"]
Projection = Literal["erp", "erp_top", "erp_left", "eac"]
SceneFormat = Literal["dataset", "starss"]
SeldMode = Literal["finetune", "frozen", "scratch"]
SeldNeck = Literal["gru", "attention"]
Stages = Literal["both", "avc"]
Task = Literal["avc", "avsa", "retrieval", "localisation", "doa", "linear", "knn", "finetune", "ablation"]

DEFAULT_WEIGHTS = "yolo26n.pt"  # of the object detector
MIN_CONFIDENCE = 0.25  # default minimum score of a detection
