/** Builds elements by calls, never from markup. */

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function element(name, { text, ...properties } = {}, ...children) {
  return filled(document.createElement(name), text, properties, children);
}

export function svgElement(name, { text, ...properties } = {}, ...children) {
  return filled(document.createElementNS(SVG, name), text, properties, children);
}

function filled(made, text, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/** Setting text triggers layout even if the text is the same. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A place in the document. It is written only when its value changes. */
class Slot {
  constructor(write) {
    this.write = write;
    this.value = undefined;
  }

  set(value) {
    if (value === this.value) return;
    this.value = value;
    this.write(value);
  }
}

/** A text node at the end of an element. Changing its data is cheaper than replacing the node. */
export function textSlot(parent) {
  const node = document.createTextNode("");
  parent.append(node);
  return new Slot((text) => {
    node.data = text;
  });
}

/** An attribute; null removes it. */
export function attributeSlot(owner, name) {
  return new Slot((value) => {
    if (value === null) owner.removeAttribute(name);
    else owner.setAttribute(name, value);
  });
}
