import re

from docs.building.house import PICTURE, layers, picture
from iclviz.places import checkout

PAGE = (checkout() / "docs" / "architecture.md").read_text()


def test_the_picture_is_that_of_the_contract():
    assert PICTURE.read_text() == picture()


def test_the_picture_holds_every_module():
    names = {path.stem for path in (checkout() / "iclviz").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__pycache__"} <= {name for row in layers() for name in row}


def test_every_file_that_the_page_names_is_there():
    roots = [checkout(), checkout() / "iclviz"]
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", PAGE.split("## The cache folder")[0])
    # A file is named alone beside the folder that it lies in.
    files = {path.name for path in (checkout() / "iclviz").rglob("*.py")}
    assert named
    assert not [name for name in named if name not in files and not any((root / name).exists() for root in roots)]
