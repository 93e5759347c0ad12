/** The entry point of the page of machines: gets their usage while the page is visible, and shows it. */

import { fetchJson } from "./feed/fetch_json.js";
import { storedToken } from "./feed/token.js";
import { arrangedMachines, ORDERS, summaryOf } from "./model/machines.js";
import { clock } from "./model/text.js";
import { byId, element, setText } from "./view/dom.js";
import { Keys } from "./view/keys.js";
import { MachineGrid } from "./view/machine_grid.js";
import { askToken } from "./view/token_dialog.js";

// Until each machine was asked once, answers arrive within moments.
const FIRST_ANSWERS_MS = 500;
const RETRY_MS = 3000;

const grid = new MachineGrid(byId("machines"));
const filter = byId("filter");
const sort = byId("sort");
let shown = null;
let receivedAt = null;
let timer = 0;
let isAsking = false;

async function ask() {
  clearTimeout(timer);
  if (isAsking || document.hidden) return;
  isAsking = true;
  let wait = RETRY_MS;
  try {
    shown = await fetchJson("peers", storedToken());
    receivedAt = Date.now();
    const isNew = shown.peers.length === 0 || shown.peers.some(({ state }) => state === "asking");
    wait = isNew ? FIRST_ANSWERS_MS : shown.interval_seconds * 1000;
    show();
  } catch (error) {
    if (error.status === 401) {
      askToken(() => void ask());
      return;
    }
    status("stale", `No answer from this server${receivedAt === null ? "" : ` since ${clock(receivedAt)}`}: ${error.detail ?? error.message}`);
  } finally {
    isAsking = false;
  }
  timer = setTimeout(ask, wait);
}

function show() {
  if (shown === null) return;
  const machines = arrangedMachines(shown.peers, filter.value, sort.value);
  grid.show(machines);
  byId("none").hidden = machines.length > 0;
  byId("list-error").hidden = shown.list_error === null;
  setText(byId("list-error"), shown.list_error === null ? "" : `The list of machines is not up to date: ${shown.list_error}`);
  const { kind, text, footer } = summaryOf(shown.peers);
  status(kind, text);
  setText(byId("sum"), footer);
}

function status(kind, text) {
  byId("status").className = `status ${kind}`;
  setText(byId("status"), text);
}

sort.append(...Object.entries(ORDERS).map(([value, { title }]) => element("option", { value, text: title })));
filter.addEventListener("input", show);
filter.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown") return;
  event.preventDefault();
  grid.move(0, 0);
});
sort.addEventListener("change", show);
document.addEventListener("visibilitychange", () => void ask());

function clearFilter() {
  filter.value = "";
  filter.blur();
  show();
}

new Keys({
  "/": () => filter.focus(),
  Escape: clearFilter,
  ArrowLeft: () => grid.move(-1, 0),
  ArrowRight: () => grid.move(1, 0),
  ArrowUp: () => grid.move(0, -1),
  ArrowDown: () => grid.move(0, 1),
});
void ask();
