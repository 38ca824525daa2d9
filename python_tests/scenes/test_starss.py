"""Scenes as a tree like STARSS23's: what prepare finds in it, and annotations that agree with the sound."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avsa_fast.data.encode_video import FPS
from avsa_fast.data.sound_events import read_events
from avsa_fast.errors import UserError
from avsa_fast.prepare.layouts.starss import find_starss
from avsa_fast.scenes.build import build_scenes
from avsa_fast.scenes.motion import unit_vectors
from avsa_fast.scenes.scene import Material, draw_scene
from avsa_fast.scenes.sound import RATE, direction_of_arrival
from avsa_fast.scenes.starss import scene_events

COUNT, SECONDS, SEED = 3, 2.05, 3


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("starss") / "tree"
    build_scenes(out, count=COUNT, seconds=SECONDS, seed=SEED, sources=1, format="starss")
    return out


def test_prepare_finds_the_scenes(tree: Path) -> None:
    found = find_starss(tree, tree / "dst")
    names = [f"scene000{number}-0" for number in range(COUNT)]
    assert sorted(found.jobs) == names
    assert found.splits == dict(zip(names, ("train", "train", "test"), strict=True))
    for name, job in found.jobs.items():
        folder = "dev-test-scenes" if found.splits[name] == "test" else "dev-train-scenes"
        assert job.sound == tree / "foa_dev" / folder / f"{name}.wav"
        assert job.video == tree / "video_dev" / folder / f"{name}.mp4"
        assert found.annotations[name] == tree / "metadata_dev" / folder / f"{name}.csv"
    assert sorted(path.name for path in tree.iterdir()) == ["classes.txt", "foa_dev", "metadata_dev", "video_dev"]


def test_annotations_agree_with_the_sound(tree: Path) -> None:
    """The only source of a scene is where the intensity of each frame points to, within the diffuse noise's error."""
    classes = (tree / "classes.txt").read_text().split()
    for name, job in find_starss(tree, tree / "dst").jobs.items():
        assert job.sound is not None
        sound, rate = soundfile.read(job.sound, dtype="float32", always_2d=True)
        assert (sound.shape[1], rate) == (4, RATE)
        events = list(read_events(find_starss(tree, tree / "dst").annotations[name]))
        number = int(name[5:9])
        scene = draw_scene(np.random.default_rng([SEED, number]), round(SECONDS * FPS), Material(sources=1))
        assert {classes[event.kind] for event in events} == {scene.sources[0].label}
        assert {event.distance for event in events} == {round(100 * scene.distances[0], 2)}
        assert max(event.frame for event in events) <= 19
        errors = []
        for event in events:
            estimate = direction_of_arrival(sound[event.frame * 2400 : (event.frame + 1) * 2400].T)
            truth = np.radians([event.azimuth, event.elevation])
            errors.append(np.degrees(np.arccos(np.clip(unit_vectors(estimate) @ unit_vectors(truth), -1, 1))))
        assert np.median(errors) < 5


def test_distances_follow_the_level() -> None:
    """The direct sound falls as 1 / distance: gain times distance is the same for all sources of a scene."""
    scene = draw_scene(np.random.default_rng(0), 16, Material())
    products = np.array(scene.gains) * np.array(scene.distances)
    assert products == pytest.approx(products[0])
    assert 2 / 10 ** (3 / 20) <= min(scene.distances) < max(scene.distances) <= 2 * 10 ** (3 / 20)


def test_silence_is_not_annotated() -> None:
    scene = draw_scene(np.random.default_rng(1), 32, Material(sources=1))
    scene.sources[0].signal[2400:7200] = 0
    frames = {event.frame for event in scene_events(scene, Material().classes)}
    assert not frames & {1, 2}
    assert frames <= set(range(20))


def test_too_many_sources(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--sources 5 must be between 1 and 4"):
        build_scenes(tmp_path / "out", count=1, seconds=1, seed=0, sources=5)
