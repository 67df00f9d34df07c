// Points as pixels, written one by one: faster without a graphics card than WebGL is, and needs none.
// Each point is a round stamp of a few pixels that is blended into what is there.

const FADED = 0.07; // opacity of what is not selected, where something is
const ALL_DRAWN_SHARP = 30000; // more points move at one pixel per CSS pixel, and are sharp when they rest

class Painter {
  constructor(canvas, view) {
    this.canvas = canvas;
    this.view = view;
    this.context = canvas.getContext("2d", { alpha: false });
    // In an order that mixes the kinds: none lies always on top. The same every time.
    this.shuffled = new Uint32Array(view.n);
    let step = Math.max(1, Math.floor(view.n * 0.618));
    while (gcd(step, view.n) !== 1) step++;
    for (let k = 0, i = 0; k < view.n; k++, i = (i + step) % view.n) this.shuffled[k] = i;
  }

  // Radius of a point in CSS pixels: smaller where there are many, larger where one has zoomed in.
  get radius() {
    const n = this.view.n;
    const alone = n <= 600 ? 3.6 : n <= 3000 ? 2.8 : n <= 12000 ? 2.2 : n <= 40000 ? 1.8 : 1.4;
    return Math.min(6, alone * Math.max(1, this.view.zoom) ** 0.35);
  }

  // `codes`: a kind per point; `colours`: [r, g, b] per kind; `hidden`: kinds left out; `selected`: bits or null.
  paint({ codes, colours, hidden, selected, background, moving }) {
    const { view, canvas } = this;
    const sharp = Math.min(2, window.devicePixelRatio || 1);
    const ratio = moving && view.n > ALL_DRAWN_SHARP ? 1 : sharp;
    const width = Math.max(1, Math.round(view.width * ratio));
    const height = Math.max(1, Math.round(view.height * ratio));
    if (canvas.width !== width || canvas.height !== height || !this.image) {
      canvas.width = width;
      canvas.height = height;
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.fill(0xff000000 | (background[2] << 16) | (background[1] << 8) | background[0]);
    const radius = this.radius * ratio;
    if (selected) {
      this.stamp(stampOf(radius, FADED, width), ratio, codes, colours, hidden, selected, 0);
      this.stamp(stampOf(radius * 1.25, 0.95, width), ratio, codes, colours, hidden, selected, 1);
    } else {
      this.stamp(stampOf(radius, 0.75, width), ratio, codes, colours, hidden, null, 1);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  // Blend every point whose bit in `selected` is `wanted`.
  stamp(stamp, ratio, codes, colours, hidden, selected, wanted) {
    const { view, pixels, shuffled } = this;
    const { offsets, alphas, margin } = stamp;
    const { xy, n } = view;
    const { width, height } = this.canvas;
    const scale = view.scale * ratio;
    const left = width / 2 - view.x * scale;
    const top = height / 2 + view.y * scale;
    const count = offsets.length;
    for (let k = 0; k < n; k++) {
      const i = shuffled[k];
      if (selected && ((selected[i >> 3] >> (i & 7)) & 1) !== wanted) continue;
      const px = (xy[2 * i] * scale + left) | 0;
      const py = (top - xy[2 * i + 1] * scale) | 0;
      if (px < margin || py < margin || px >= width - margin || py >= height - margin || hidden[codes[i]]) continue;
      const [red, green, blue] = colours[codes[i]];
      const at = py * width + px;
      for (let j = 0; j < count; j++) {
        const p = at + offsets[j];
        const alpha = alphas[j];
        const old = pixels[p];
        const r = old & 255;
        const g = (old >> 8) & 255;
        const b = (old >> 16) & 255;
        pixels[p] =
          0xff000000 |
          ((b + (((blue - b) * alpha) >> 8)) << 16) |
          ((g + (((green - g) * alpha) >> 8)) << 8) |
          (r + (((red - r) * alpha) >> 8));
      }
    }
  }
}

// The pixels that a point of this radius covers, and how much of each: 16 samples a pixel.
function stampOf(radius, opacity, width) {
  const margin = Math.ceil(radius) + 1;
  const offsets = [];
  const alphas = [];
  for (let y = -margin; y <= margin; y++) {
    for (let x = -margin; x <= margin; x++) {
      let covered = 0;
      for (let s = 0; s < 16; s++) {
        const dx = x + ((s & 3) - 1.5) / 4;
        const dy = y + ((s >> 2) - 1.5) / 4;
        if (dx * dx + dy * dy <= radius * radius) covered++;
      }
      if (covered) {
        offsets.push(y * width + x);
        alphas.push(Math.round((covered / 16) * opacity * 256));
      }
    }
  }
  return { offsets: Int32Array.from(offsets), alphas: Int32Array.from(alphas), margin };
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}

// "#rrggbb" as [r, g, b].
function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) || 0);
}

// Any CSS colour as [r, g, b]: the canvas reads it.
function readColour(text, otherwise) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = otherwise;
  if (text) context.fillStyle = text.trim();
  return /^#[0-9a-f]{6}$/i.test(context.fillStyle) ? rgb(context.fillStyle) : rgb(otherwise);
}
