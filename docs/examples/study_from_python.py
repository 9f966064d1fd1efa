"""A study from Python, from prompts to win probabilities: run it step by step, or as a whole.

    python docs/examples/study_from_python.py http://127.0.0.1:8000 winrate_... [FOLDER]

It makes two contenders of flat colours, one of which always looks better to the pretended raters, so that it needs no
image model. Put your own images and people in their place. The token needs the scope write.
"""

# %% What it needs: this folder's neighbour, and Pillow for the colours.
import io
import random
import sys
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from winrate_client import Winrate  # noqa: E402

PROMPTS = ("a red square", "a green square", "a blue square", "a grey square")
SHADES = {"vivid": 230, "pale": 120}


# %% Images: here flat colours, for you the output of your models.
def picture(shade: int, number: int) -> bytes:
    file = io.BytesIO()
    colour = tuple(shade if part == number % 3 else 40 + 10 * number for part in range(3))
    Image.new("RGB", (128, 128), colour).save(file, format="PNG")
    return file.getvalue()


def main(address: str, token: str, folder: Path) -> dict[str, float]:
    """Win probability of each contender against the other, by criterion."""
    site = Winrate(address, token)
    slug = f"colours-{int(time.time())}"

    # %% Prompts: one a line.
    prompt_file = folder / "colours.txt"
    prompt_file.write_text("\n".join(PROMPTS) + "\n")
    prompts = site.upload_prompts(prompt_file, name=f"Colours of {slug}", licence="CC0-1.0")

    # %% Contenders, and one image for each prompt.
    contenders = []
    for label, shade in SHADES.items():
        contender = site.create_contender(f"{label} ({slug})")
        images = {number: picture(shade, number) for number in range(len(PROMPTS))}
        site.upload_images(contender["id"], images, prompt_set=prompts["id"])
        contenders.append({"label": label, "recipe": contender["id"], "is_baseline": label == "pale"})

    # %% The study: questions of the SD3 paper, opened and so frozen.
    site.create_study(
        slug=slug,
        name="Colours from Python",
        prompt_set=prompts["id"],
        contenders=contenders,
        preset="sd3",
        rater_rules={"instructions": False},
    )
    print("frozen as", site.open_study(slug)["frozen_digest"])

    # %% Raters: show people `ballot_image` of both sides; here a die decides, with a liking for the left of two equals.
    chance = random.Random(1)  # noqa: S311 - pretended taste
    version = site.consent(slug)["version"]
    for _ in range(6):
        rater = site.enrol_rater(slug, consent_version=version)
        waited = 0
        while waited < 30:
            ballots = site.ballots(slug, rater)
            if not ballots:
                if site.study(slug)["vote_count"]:
                    break
                time.sleep(1)  # the raters' copies of the images are being made
                waited += 1
                continue
            ballot = ballots[0]
            sides = {side: site.ballot_image(slug, rater, ballot["token"], side) for side in ("left", "right")}
            brightness = {side: brightest(data) for side, data in sides.items()}
            better = max(brightness, key=lambda side: brightness[side] + chance.gauss(0, 80))
            site.vote(slug, rater, ballot["token"], {criterion["key"]: better for criterion in ballot["criteria"]})

    # %% What came of it: fits follow the votes within a minute where a worker runs.
    site.save_votes(slug, folder / "votes.csv")
    site.save_bundle(slug, folder / "study.zip", images=True)
    found = {}
    for item in site.results(slug):
        for entry in item["results"]["contenders"]:
            found[f"{item['criterion']}: {entry['label']}"] = entry["log_strength"]
    for name, strength in found.items():
        print(f"{name}: log strength {strength:+.2f}")
    return found


def brightest(data: bytes) -> float:
    """The mean of the brightest channel."""
    with Image.open(io.BytesIO(data)) as image:
        bands = image.convert("RGB").split()
        return max(sum(band.histogram()[level] * level for level in range(256)) for band in bands) / image.size[0] ** 2


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3] if len(sys.argv) > 3 else "."))
