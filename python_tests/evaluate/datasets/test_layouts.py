"""Published layouts of datasets: parsing, checks of class counts and splits, and detection of leaks."""

import csv
from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.evaluate.datasets import LOADERS
from avsa_fast.evaluate.datasets.hmdb51 import FOLDER


def touch(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path.name


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    """101 classes of three groups, with a different test group in each split."""
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    classes = [f"Class{i:03d}" for i in range(101)]
    (lists / "classInd.txt").write_text("".join(f"{i + 1} {name}\r\n" for i, name in enumerate(classes)))
    for split in (1, 2, 3):
        sides: dict[str, list[str]] = {"train": [], "test": []}
        for i, name in enumerate(classes):
            for group in (1, 2, 3):
                for clip in (1, 2):
                    file = f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi"
                    touch(tmp_path / "UCF-101" / file)
                    if group == split:
                        sides["test"].append(file)
                    else:
                        sides["train"].append(f"{file} {i + 1}")
        for side, lines in sides.items():
            (lists / f"{side}list{split:02d}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_ucf101(ucf: Path) -> None:
    data = LOADERS["ucf101"](ucf)
    assert len(data.classes) == 101
    assert data.windows == 25
    assert [(len(fold.train), len(fold.test)) for fold in data.folds] == [(404, 202)] * 3
    item = data.folds[1].test[0]
    assert (item.label, item.group) == ("Class000", "Class000/g02")
    assert item.video == ucf / "UCF-101" / "Class000" / "v_Class000_g02_c01.avi"


def test_ucf101_group_in_train_and_test_is_refused(ucf: Path) -> None:
    with (ucf / "ucfTrainTestlist" / "testlist02.txt").open("a") as file:
        file.write("Class007/v_Class007_g03_c02.avi\n")
    with pytest.raises(UserError, match=r"fold 2: Class007/v_Class007_g03_c02\.avi is on both sides"):
        LOADERS["ucf101"](ucf)
    lists = ucf / "ucfTrainTestlist"
    lines = (lists / "trainlist02.txt").read_text().splitlines()
    (lists / "trainlist02.txt").write_text("\n".join(x for x in lines if "Class007_g03_c02" not in x))
    with pytest.raises(UserError, match="fold 2: Class007/g03 is on both sides"):
        LOADERS["ucf101"](ucf)


def test_ucf101_missing_files_and_classes(ucf: Path) -> None:
    (ucf / "UCF-101" / "Class000" / "v_Class000_g01_c01.avi").unlink()
    with pytest.raises(UserError, match=r"1 files are missing, .*v_Class000_g01_c01\.avi"):
        LOADERS["ucf101"](ucf)
    data = LOADERS["ucf101"](ucf, partial=True)
    assert [(len(fold.train), len(fold.test)) for fold in data.folds] == [(404, 201), (403, 202), (403, 202)]


@pytest.fixture
def hmdb(tmp_path: Path) -> Path:
    """51 classes of 102 videos, of which each split uses 100."""
    for number in range(51):
        label = f"class_{number:02d}"
        for split in (1, 2, 3):
            lines = []
            for i in range(102):
                name = f"video #{i}.avi"
                if split == 1:
                    touch(tmp_path / label / name)
                place = (i + 31 * split) % 102
                lines.append(f"{name} {1 if place < 70 else 2 if place < 100 else 0}")
            path = tmp_path / FOLDER / f"{label}_test_split{split}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(" \n".join(lines) + " \n")
    return tmp_path


def test_hmdb51(hmdb: Path) -> None:
    data = LOADERS["hmdb51"](hmdb)
    assert len(data.classes) == 51
    assert [(len(fold.train), len(fold.test)) for fold in data.folds] == [(51 * 70, 51 * 30)] * 3
    assert data.folds[0].test[0].video in list((hmdb / "class_00").iterdir())
    path = hmdb / FOLDER / "class_07_test_split2.txt"
    path.write_text(path.read_text().replace(" 2", " 0", 1))
    with pytest.raises(UserError, match=r"class_07_test_split2\.txt: 70 videos to train on and 29 to test"):
        LOADERS["hmdb51"](hmdb)


@pytest.fixture
def tau(tmp_path: Path) -> Path:
    """Ten scenes at three places, with two segments each; one place is for testing."""
    scenes = ["airport", "bus", "metro", "metro_station", "park"]
    scenes += ["public_square", "shopping_mall", "street_pedestrian", "street_traffic", "tram"]
    for part, places in (("train", (0, 1)), ("evaluate", (2,))):
        path = tmp_path / "evaluation_setup" / f"fold1_{part}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(["filename_audio", "filename_video", "scene_label"])
            for scene in scenes:
                for place in places:
                    for segment in (0, 1):
                        name = f"{scene}-lisbon-{1000 + place}-{40000 + segment}"
                        touch(tmp_path / "audio" / f"{name}.wav")
                        touch(tmp_path / "video" / f"{name}.mp4")
                        writer.writerow([f"audio/{name}.wav", f"video/{name}.mp4", scene])
    return tmp_path


def test_tau2021(tau: Path) -> None:
    data = LOADERS["tau2021"](tau)
    assert len(data.classes) == 10
    (fold,) = data.folds
    assert (len(fold.train), len(fold.test)) == (40, 20)
    assert fold.test[0].group == "airport-lisbon-1002"
    path = tau / "evaluation_setup" / "fold1_evaluate.csv"
    path.write_text(path.read_text().replace("lisbon-1002", "lisbon-1001"))
    with pytest.raises(UserError, match="is on both sides of the split: the test leaks"):
        LOADERS["tau2021"](tau)
    path.write_text("filename_audio\tscene_label\n")
    with pytest.raises(UserError, match=r"fold1_evaluate\.csv: no column 'filename_video'"):
        LOADERS["tau2021"](tau)


SCENES = ["Beach", "BusyStreet", "Park", "PedestrianZone", "QuietStreet", "ShoppingCentre", "TrainStation", "Woodland"]


@pytest.mark.parametrize("name", ["{}.{}.wav", "{}-0{}.wav"])
def test_eigenscape(tmp_path: Path, name: str) -> None:
    for scene in SCENES:
        for number in range(1, 9):
            touch(tmp_path / scene / name.format(scene, number))
    data = LOADERS["eigenscape"](tmp_path)
    assert data.classes == SCENES
    assert [(len(fold.train), len(fold.test)) for fold in data.folds] == [(48, 16)] * 4
    assert {item.name for item in data.folds[0].test} == {f"{scene}.{i}" for scene in SCENES for i in (1, 2)}
    (tmp_path / "Beach" / name.format("Beach", 3)).unlink()
    with pytest.raises(UserError, match="63 recordings; EigenScape has 64"):
        LOADERS["eigenscape"](tmp_path)
    assert len(LOADERS["eigenscape"](tmp_path, partial=True).folds[1].test) == 15


def esc(root: Path, classes: int, table: str = "esc50.csv") -> Path:
    """Five folds, each with one file per class."""
    path = root / "meta" / table
    path.parent.mkdir()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "fold", "target", "category", "esc10", "src_file", "take"])
        for fold in range(1, 6):
            for target in range(classes):
                name = touch(root / "audio" / f"{fold}-{100 * fold + target}-A-{target}.wav")
                writer.writerow([name, fold, target, f"class{target:02d}", "False", 100 * fold + target, "A"])
    return path


def test_esc50(tmp_path: Path) -> None:
    table = esc(tmp_path, 50)
    data = LOADERS["esc50"](tmp_path)
    assert len(data.classes) == 50
    assert [(len(fold.train), len(fold.test)) for fold in data.folds] == [(200, 50)] * 5
    table.write_text(table.read_text().replace(",102,", ",202,"))  # a clip of fold 1 gets a source of fold 2
    with pytest.raises(UserError, match="fold 1: 202 is on both sides"):
        LOADERS["esc50"](tmp_path)


def test_esc50_class_count_and_other_tables(tmp_path: Path) -> None:
    table = esc(tmp_path, 7)
    with pytest.raises(UserError, match="ESC-50 has 50 classes; 7 are here"):
        LOADERS["esc50"](tmp_path)
    table.rename(table.with_name("mine.csv"))
    assert len(LOADERS["esc50"](tmp_path).classes) == 7
    table.with_name("mine.csv").write_text('filename,fold,category\n"a, b.wav",1\n')
    with pytest.raises(UserError, match=r"mine\.csv, row 1: not 3 columns"):
        LOADERS["esc50"](tmp_path)


def test_folders(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        for i in range(7):
            touch(tmp_path / label / f"{i}.wav")
    touch(tmp_path / "dog" / "notes.txt")
    data = LOADERS["folders"](tmp_path)
    assert data.classes == ["cat", "dog"]
    assert sorted(len(fold.test) for fold in data.folds) == [2, 2, 2, 4, 4]
    tested = [item.name for fold in data.folds for item in fold.test]
    assert sorted(tested) == sorted({item.name for item in data.folds[0].train + data.folds[0].test})
    for part in ("train", "test"):
        touch(tmp_path / part / "cat" / f"{part}.mp4")
        touch(tmp_path / part / "dog" / f"{part}.mp4")
    (fold,) = LOADERS["folders"](tmp_path).folds
    assert [item.video.name for item in fold.test if item.video] == ["test.mp4"] * 2


def test_invalid_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no files in folders of classes"):
        LOADERS["folders"](tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        LOADERS["folders"](tmp_path / "nowhere")
    for i in range(5):
        touch(tmp_path / "cat" / f"{i}.wav")
    with pytest.raises(UserError, match="at least 2 classes"):
        LOADERS["folders"](tmp_path)
    for part, label in (("train", "cat"), ("train", "cow"), ("test", "dog")):
        touch(tmp_path / part / label / f"{label}.wav")
    with pytest.raises(UserError, match="class dog is tested but not trained on"):
        LOADERS["folders"](tmp_path)
