"""Render the sprite sheet of the demo world: Noto Color Emoji -> `sprites.png` + `sprites.json`.

In:  a Noto Color Emoji font with bitmap glyphs (CBDT, 109 pixels per em).
Out: one RGBA sheet of CELL x CELL cells and a JSON list that names every cell (name, plural, group, emoji).

Run once, `python -m core.world.make_sprites [FONT]`; the world itself needs the two files only, never the font.
The font is licensed under the SIL Open Font License 1.1, (c) Google; see README.md beside this file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
HERE = Path(__file__).resolve().parent
GLYPH = 109  # the one size, in pixels, the font's bitmaps exist in
CELL = 64  # width and height of a cell of the sheet, pixels
COLUMNS = 16

# group: "emoji name" or "emoji name/plural", separated by commas; the plural is name + "s" when not given
THINGS = {
    "mammal": (
        "🐕 dog, 🐈 cat, 🐎 horse, 🐄 cow, 🐖 pig, 🐑 sheep/sheep, 🐘 elephant, 🦁 lion, 🐅 tiger, 🐻 bear, 🐼 panda, "
        "🦊 fox/foxes, 🐇 rabbit, 🐒 monkey, 🦒 giraffe, 🦓 zebra, 🐫 camel, 🐨 koala, 🐁 mouse/mice, 🦔 hedgehog"
    ),
    "bird": "🐓 rooster, 🐧 penguin, 🦉 owl, 🦜 parrot, 🦩 flamingo, 🦚 peacock, 🦢 swan, 🦆 duck, 🦃 turkey",
    "sea animal": "🐳 whale, 🐬 dolphin, 🦈 shark, 🐙 octopus/octopuses, 🦀 crab, 🦞 lobster, 🐠 fish/fish, 🦭 seal",
    "reptile": "🐢 turtle, 🐍 snake, 🦎 lizard, 🐊 crocodile, 🦖 dinosaur",
    "insect": "🐝 bee, 🦋 butterfly/butterflies, 🐞 ladybug, 🪲 beetle",
    "fruit": (
        "🍎 apple, 🍌 banana, 🍒 cherry/cherries, 🍇 grape, 🍋 lemon, 🍊 orange, 🍑 peach/peaches, 🍐 pear, 🍍"
        " pineapple, "
        "🍓 strawberry/strawberries, 🍉 watermelon, 🥝 kiwi, 🥥 coconut"
    ),
    "vegetable": (
        "🥕 carrot, 🥦 broccoli/broccoli, 🌽 corn, 🍆 eggplant, 🍄 mushroom, 🫑 pepper, 🎃 pumpkin, 🥑 avocado"
    ),
    "meal": "🍕 pizza, 🍔 burger, 🌮 taco, 🍣 sushi, 🍝 spaghetti, 🍳 egg, 🍞 bread, 🧀 cheese, 🍿 popcorn, 🥨 pretzel",
    "sweet": "🎂 cake, 🍩 donut, 🍪 cookie, 🍬 candy/candies, 🍭 lollipop, 🍫 chocolate, 🧁 cupcake",
    "vehicle": "🚗 car, 🚌 bus/buses, 🚕 taxi, 🚚 truck, 🚜 tractor, 🚂 train, 🚲 bicycle, 🛵 scooter, 🚑 ambulance",
    "aircraft": "🛩️ airplane, 🚁 helicopter, 🚀 rocket, 🎈 balloon, 🪂 parachute, 🛸 saucer",
    "boat": "⛵ sailboat, 🛶 canoe, 🚢 ship",
    "instrument": "🎸 guitar, 🎻 violin, 🎹 piano, 🎺 trumpet, 🥁 drum, 🎷 saxophone, 🪗 accordion",
    "toy": "⚽ football, 🏀 basketball, 🎾 racket, 🛹 skateboard, 🪁 kite, 🎯 dartboard, 🧸 teddy/teddies, 🎲 die/dice",
    "tool": "🔨 hammer, 🪚 saw, 🪓 axe, 🪛 screwdriver, 🪜 ladder, 🧲 magnet, 🪣 bucket",
    "garment": (
        "👕 shirt, 👗 dress/dresses, 🎩 hat, 🧢 cap, 👑 crown, 👢 boot, 👟 sneaker, 🧣 scarf/scarves, 🎒 backpack"
    ),
    "plant": "🌳 tree, 🌲 pine, 🌴 palm, 🌵 cactus/cactuses, 🌻 sunflower, 🌹 rose, 🌷 tulip, 🍀 clover",
    "household item": (
        "🪑 chair, 💡 lightbulb, ⏰ clock, 📺 television, ☎️ phone, 📷 camera, 📕 book, 🔑 key, 🕯️ candle, "
        "☂️ umbrella, 🔔 bell, 🎁 gift, 🫖 teapot, 🧹 broom, 🚪 door"
    ),
}


def table() -> list[dict[str, str]]:
    """One record per thing, in sheet order."""
    return [_record(group, entry.strip()) for group, entries in THINGS.items() for entry in entries.split(",")]


def _record(group: str, entry: str) -> dict[str, str]:
    """A thing from its entry in `THINGS`: "emoji name/plural", the plural left out where it only adds an s."""
    emoji, names = entry.split(" ", 1)
    name, _, plural = names.partition("/")
    return {"name": name, "plural": plural or name + "s", "group": group, "emoji": emoji}


def glyph(emoji: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The emoji cropped to its ink and fitted, centred, into a CELL x CELL RGBA cell."""
    canvas = Image.new("RGBA", (2 * GLYPH, 2 * GLYPH))
    ImageDraw.Draw(canvas).text((20, 20), emoji, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"the font draws nothing for {emoji!r}; use a Noto Color Emoji that has it")
    ink = canvas.crop(box)
    scale = (CELL - 2) / max(ink.size)
    ink = ink.resize((max(1, round(ink.width * scale)), max(1, round(ink.height * scale))), Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(ink, ((CELL - ink.width) // 2, (CELL - ink.height) // 2))
    return cell


def sheet(records: list[dict[str, str]], font: ImageFont.FreeTypeFont) -> Image.Image:
    """All cells, row by row, COLUMNS to a row."""
    rows = -(-len(records) // COLUMNS)
    image = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    for i, record in enumerate(records):
        image.paste(glyph(record["emoji"], font), (i % COLUMNS * CELL, i // COLUMNS * CELL))
    return image


def main(font_path: Path = FONT) -> None:
    records = table()
    font = ImageFont.truetype(str(font_path), GLYPH)
    sheet(records, font).save(HERE / "sprites.png", optimize=True)
    payload = {
        "cell": CELL,
        "columns": COLUMNS,
        "source": "Noto Color Emoji, SIL Open Font License 1.1",
        "things": records,
    }
    (HERE / "sprites.json").write_text(json.dumps(payload, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
