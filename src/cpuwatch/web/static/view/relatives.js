/** A list of links to related processes. */

import { element, setText, textSlot } from "./dom.js";
import { shownName } from "../model/text.js";

export class Relatives {
  /** `title(count)` is the heading, `none` the text of an empty list; `onOpen(key)` opens a process. */
  constructor(title, none, onOpen) {
    this.title = title;
    this.none = none;
    this.onOpen = onOpen;
    this.heading = element("h3");
    this.list = element("ul");
    this.note = element("p", { class: "note" });
    this.links = new Map();
    this.nodes = [this.heading, this.list, this.note];
  }

  /** Shows `rows`, out of `count` in total; `use(row)` is the text after each name. */
  show(rows, count, use) {
    setText(this.heading, this.title(count));
    setText(this.note, count === 0 ? this.none : count > rows.length ? `and ${count - rows.length} more` : "");
    this.note.hidden = !this.note.textContent;
    this.list.hidden = rows.length === 0;
    const wanted = new Set(rows.map((row) => row.id));
    for (const [id, link] of this.links) {
      if (wanted.has(id)) continue;
      link.item.remove();
      this.links.delete(id);
    }
    // A link that is replaced or moved while it is pressed loses the click, and one that moves away from under the
    // pointer passes it to another.
    const held = this.list.matches(":hover, :focus-within");
    let next = this.list.firstChild;
    for (const row of rows) {
      const known = this.links.get(row.id);
      const link = known ?? this.makeLink(row);
      link.name.set(shownName(row));
      link.use.set(` ${use(row)}`);
      if (held && known) continue;
      if (held) this.list.append(link.item);
      else if (link.item === next) next = next.nextSibling;
      else this.list.insertBefore(link.item, next);
    }
  }

  makeLink(row) {
    const name = element("bdi");
    const button = element("button", { type: "button", class: "link", onclick: () => this.onOpen(row.id) }, `${row.pid} `, name);
    const link = { item: element("li", {}, button), name: textSlot(name), use: textSlot(button) };
    this.links.set(row.id, link);
    return link;
  }
}
