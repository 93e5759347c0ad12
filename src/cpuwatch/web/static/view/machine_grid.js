/** The machines side by side, each a link to its own page. */

import { attributeSlot, element, textSlot } from "./dom.js";
import { machineTexts } from "../model/machines.js";

const PARTS = [
  ["processes_percent", "live"],
  ["exited_percent", "exited"],
  ["unattributed_percent", "unattributed"],
];

export class MachineGrid {
  constructor(list) {
    this.list = list;
    this.cards = new Map();
    this.order = [];
  }

  /** While the pointer or the focus is in the grid, machines keep their places, and new ones come last. */
  show(machines) {
    const urls = new Set(machines.map(({ url }) => url));
    for (const [url, card] of this.cards) {
      if (urls.has(url)) continue;
      card.item.remove();
      this.cards.delete(url);
    }
    for (const machine of machines) {
      if (!this.cards.has(machine.url)) this.cards.set(machine.url, new Card(machine.url));
      this.cards.get(machine.url).show(machine);
    }
    this.place(machines.map(({ url }) => url));
  }

  place(wanted) {
    const isHeld = this.list.matches(":hover, :focus-within");
    const held = isHeld ? this.order.filter((url) => this.cards.has(url)) : [];
    const order = [...new Set([...held, ...wanted])];
    if (order.length === this.order.length && order.every((url, index) => url === this.order[index])) return;
    this.order = order;
    // A node that is moved loses the focus, so only those in the wrong place are.
    let next = this.list.firstElementChild;
    for (const url of order) {
      const { item } = this.cards.get(url);
      if (item === next) next = next.nextElementSibling;
      else this.list.insertBefore(item, next);
    }
  }

  /** Moves the focus by columns and rows. */
  move(columns, rows) {
    const links = Array.from(this.list.querySelectorAll("a"));
    if (links.length === 0) return;
    const index = links.indexOf(document.activeElement);
    const width = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const next = index < 0 ? 0 : Math.max(0, Math.min(links.length - 1, index + columns + rows * width));
    links[next].focus();
  }
}

class Card {
  constructor(url) {
    this.segments = PARTS.map(([, name]) => element("span", { class: `segment ${name}` }));
    const text = (name) => element("span", { class: name });
    const [title, figure, worst, worstFigure, fact] = ["title text", "figure", "text", "worst-figure", "text"].map(text);
    // A machine must not learn the address of this page, nor reach its window.
    this.link = element("a", { class: "machine", href: `${url}/`, target: "_blank", rel: "noopener noreferrer" },
      element("span", {}, title, figure),
      element("span", { class: "bar", "aria-hidden": "true" }, ...this.segments),
      element("span", { class: "worst" }, worst, worstFigure),
      element("span", { class: "fact" }, fact));
    this.item = element("li", {}, this.link);
    this.kind = attributeSlot(this.link, "class");
    this.tip = attributeSlot(this.link, "title");
    this.texts = Object.entries({ name: title, busy: figure, worst, worstFigure, fact }).map(([name, node]) => [name, textSlot(node)]);
  }

  show(machine) {
    const texts = machineTexts(machine);
    for (const [name, slot] of this.texts) slot.set(texts[name]);
    this.kind.set(`machine ${machine.state}${texts.isHot ? " hot" : ""}`);
    this.tip.set(`${texts.name}: ${texts.fact}`);
    PARTS.forEach(([field], index) => {
      this.segments[index].style.width = `${Math.min(100, machine.attribution?.[field] ?? 0)}%`;
    });
  }
}
