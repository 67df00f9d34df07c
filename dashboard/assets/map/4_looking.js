// The item under the pointer, fetched when one looks at it. Its words are text, whatever they hold.

const KEPT = 300;

class Looking {
  constructor(card, address) {
    Object.assign(this, { card, address, known: new Map(), now: "" });
  }

  // Show the item called "queries:12" beside (x, y) of the component; "" hides the card.
  at(name, x, y, width) {
    this.now = name;
    clearTimeout(this.soon);
    if (!name) {
      this.card.hidden = true;
      return;
    }
    this.card.style.left = `${Math.max(0, Math.min(x + 14, width - 236))}px`;
    this.card.style.top = `${y + 16}px`;
    if (this.known.has(name)) this.show(this.known.get(name));
    else {
      this.card.hidden = true;
      this.soon = setTimeout(() => this.fetch(name), 60);
    }
  }

  async fetch(name) {
    const [part, row] = name.split(":");
    try {
      const answer = await fetch(`${this.address}/${part}/${row}`);
      if (!answer.ok) return;
      this.known.set(name, await answer.json());
    } catch {
      return; // the server has gone, or stands at another address: the map works without
    }
    if (this.known.size > KEPT) this.known.delete(this.known.keys().next().value);
    if (this.now === name) this.show(this.known.get(name));
  }

  show(item) {
    const parts = [];
    if (typeof item.image === "string" && item.image.startsWith("data:image/")) {
      const picture = document.createElement("img");
      picture.src = item.image;
      picture.alt = "";
      parts.push(picture);
    }
    for (const [kind, text] of [["words", item.text], ["name", item.name]]) {
      if (!text) continue;
      const line = document.createElement("p");
      line.className = kind;
      line.textContent = text.length > 240 ? `${text.slice(0, 240)}…` : text;
      parts.push(line);
    }
    this.card.replaceChildren(...parts);
    this.card.hidden = false;
  }
}
