"""Draws `photos/*.jpg`, the photographs that `records.csv` names: drawings by code, no patient.

    python examples/draw_photos.py        from the repository; the drawing itself is tests/fakes/drawn_tongue.py
"""

import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "fakes"))
from drawn_tongue import DrawnTongue, draw  # noqa: E402

COMMON = {"height_px": 640, "width_px": 560}
PHOTOS = {
    # confirms 苔黄, fills 裂纹
    "SY0001.jpg": DrawnTongue(**COMMON, body="红", coating="淡黄", coating_share=0.45, coating_thickness=0.55, cracks=4, exposure_ev=-0.3,
                              seed=1),
    # confirms 苔黄
    "SY0002.jpg": DrawnTongue(**COMMON, body="红", coating="黄", coating_share=0.65, coating_thickness=0.55, exposure_ev=-0.15, seed=2),
    "SY0003.jpg": DrawnTongue(**COMMON, body="淡红", coating="白", tooth_marks=6, seed=3),  # confirms 齿痕
    "SY0005.jpg": DrawnTongue(**COMMON, body="淡白", coating="黄", seed=5),  # contradicts the text's 苔薄白
    "SY0007.jpg": DrawnTongue(**COMMON, body="紫", coating="白", blur_px=9, seed=7),  # out of focus: not used
    "SY0008.jpg": DrawnTongue(**COMMON, body="淡白", coating="白", coating_share=0.5, seed=8),  # the text is silent: fills
}


def main() -> None:
    folder = HERE / "photos"
    folder.mkdir(exist_ok=True)
    for name, what in PHOTOS.items():
        Image.fromarray(draw(what)[0]).save(folder / name, quality=85)
        print(name, (folder / name).stat().st_size, "bytes")


if __name__ == "__main__":
    main()
