/** The page: what comes in is kept, what is asked for is shown. */

import { Arrangement, total } from "./model/arrange.js";
import { columnOf, COLUMNS, SORTABLE } from "./model/columns.js";
import { Detail } from "./view/detail.js";
import { byId, element, setAttribute, setText } from "./view/dom.js";
import { Feed } from "./feed/feed.js";
import { parseFilter, rowTest } from "./model/filter.js";
import { Keys } from "./view/keys.js";
import { Overview } from "./view/overview.js";
import { ProcessTable } from "./model/process_table.js";
import { RegexMatcher } from "./model/regex_matcher.js";
import { heldOrder } from "./model/sort.js";
import { statusOf } from "./view/status_line.js";
import { TableView } from "./view/table_view.js";
import { clock, percent } from "./model/text.js";
import { Timeline } from "./model/timeline.js";
import { storedToken } from "./feed/token.js";
import { askToken } from "./view/token_dialog.js";
import { fromFragment, toFragment } from "./model/url_state.js";

const GROUPINGS = ["", "name", "user", "unit"];
const MOMENT_PATIENCE_MS = 60;

class App {
  constructor() {
    this.state = fromFragment(location.hash);
    this.live = new ProcessTable();
    /** The moment that is looked at; null is now. */
    this.frozen = null;
    this.timeline = new Timeline();
    this.closed = new Set();
    this.arrangement = new Arrangement();
    this.order = [];
    this.link = { state: "connecting" };
    this.arrived = -Infinity;
    this.matcher = null;
    this.filling = null;
    this.painting = 0;
    this.overview = new Overview();
    this.tableView = new TableView({
      sort: (key) => this.sortBy(key),
      open: (row) => this.openRow(row),
      branch: (row, isOpen) => this.setBranch(row, isOpen),
      release: () => this.paintSoon(),
    });
    this.detail = new Detail((key) => this.change({ open: key }), () => this.closeDetail());
    this.keys = new Keys(this.actions());
    this.feed = new Feed((message) => this[`on_${message.type}`](message));
    this.bindControls();
    this.setFilter(this.state.filter);
    for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
    this.feed.listen(storedToken());
    setInterval(() => this.showStatus(), 500);
    this.showStatus();
  }

  get table() {
    return this.frozen ?? this.live;
  }

  // What the feed says.

  on_state(message) {
    this.link = message;
    if (message.state === "refused") askToken((token) => this.feed.listen(token));
    this.showStatus();
  }

  on_begin(message) {
    this.live = new ProcessTable();
    this.timeline = new Timeline();
    this.on_tick(message);
  }

  on_tick({ type, changed, gone, last, ...head }) {
    this.live.begin(head, gone);
    this.fill(this.live, { changed, last }, () => {
      this.timeline.add(head);
      this.arrived = performance.now();
      this.paintSoon();
    });
  }

  on_moment({ type, wanted, changed, gone, last, ...head }) {
    const table = new ProcessTable();
    table.begin(head, gone);
    this.fill(table, { changed, last }, () => {
      if (wanted !== this.wanted) return;
      table.rememberAs(this.live);
      this.frozen = table;
      this.change({ at: head.time });
    });
  }

  on_no_moment({ wanted }) {
    if (wanted === this.wanted) this.note("That moment is not kept any more.");
  }

  /** Rows that had no room in the message before. */
  on_more(piece) {
    this.fill(this.filling, piece, this.filled);
  }

  fill(table, { changed, last }, filled) {
    this.filling = last ? null : table;
    this.filled = filled;
    table.add(changed);
    if (last) {
      table.settle();
      filled();
    } else if (table === this.table) {
      // Sorted now, piece by piece, so that it is not all to be done when the last one comes.
      this.arrange();
    }
  }

  on_past({ first, ticks, pasts, last }) {
    this.live.fillPast(first, pasts);
    this.timeline.prepend(ticks);
    if (!last) return;
    if (this.state.at && !this.frozen) this.lookUpMoment();
    this.paintSoon();
  }

  // What the user does.

  actions() {
    const view = (name) => this.change({ view: this.state.view === name ? "" : name });
    return {
      "/": () => byId("filter").focus(),
      " ": () => this.togglePause(),
      "[": () => this.step(-1),
      "]": () => this.step(1),
      c: () => this.sortBy("cpu_percent"),
      p: () => this.sortBy("pid"),
      n: () => this.sortBy("name"),
      u: () => this.sortBy("user"),
      t: () => view("tree"),
      g: () => this.change({ view: GROUPINGS[(GROUPINGS.indexOf(this.state.view) + 1) % GROUPINGS.length] }),
      1: () => this.overview.toggleCpus(),
      "?": () => byId("help").showModal(),
      Escape: () => this.escape(),
    };
  }

  bindControls() {
    byId("filter").addEventListener("input", (event) => this.setFilter(event.target.value));
    byId("view").addEventListener("change", (event) => this.change({ view: event.target.value }));
    byId("scale").addEventListener("change", (event) => this.change({ scale: event.target.value }));
    byId("sort").append(...SORTABLE.map(({ key, label }) => element("option", { value: key, text: label })));
    byId("sort").addEventListener("change", ({ target }) => this.change({ sort: target.value, descending: columnOf(target.value).descends }));
    byId("direction").addEventListener("click", () => this.sortBy(this.state.sort));
    byId("columns").append(...COLUMNS.map(({ label, title }) => element("div", {}, element("dt", { text: label }), element("dd", { text: title }))));
    byId("pause").addEventListener("click", () => this.togglePause());
    byId("live").addEventListener("click", () => this.goLive());
    byId("scrub").addEventListener("input", (event) => this.goTo(Number(event.target.value)));
    byId("help-open").addEventListener("click", () => byId("help").showModal());
    byId("keys-on").checked = this.keys.on;
    byId("keys-on").addEventListener("change", ({ target }) => this.keys.switchTo(target.checked));
    addEventListener("hashchange", () => this.follow(fromFragment(location.hash)));
  }

  /** Somebody has typed an address, or gone back. */
  follow(state) {
    this.state = state;
    this.setFilter(state.filter);
    if (state.at === null) this.frozen = null;
    else if (this.frozen?.head.time !== state.at) this.lookUpMoment();
    this.order = [];
    this.paintSoon();
  }

  change(part) {
    const sorted = ["sort", "descending", "view", "filter"].some((name) => name in part && part[name] !== this.state[name]);
    this.state = { ...this.state, ...part };
    if (sorted) this.order = [];
    // Not one entry in the browser's history for each letter typed.
    history.replaceState(null, "", location.pathname + location.search + toFragment(this.state));
    this.paintSoon();
  }

  sortBy(key) {
    const same = this.state.sort === key;
    this.change({ sort: key, descending: same ? !this.state.descending : columnOf(key).descends });
  }

  setFilter(text) {
    this.matcher?.stop();
    this.matcher = null;
    const filter = parseFilter(text);
    this.note(filter.kind === "bad" ? `No regular expression: ${filter.why}` : "");
    if (filter.kind === "regex") {
      const matcher = new RegexMatcher(filter.source, () => this.testBy(matcher), () => this.note("This regular expression takes too long."));
      this.matcher = matcher;
      this.testBy(matcher);
    } else {
      this.test = rowTest(filter);
    }
    if (byId("filter").value !== text) byId("filter").value = text;
    this.change({ filter: text });
  }

  /** Another test each time that it has learnt something: what did not pass is to be asked again. */
  testBy(matcher) {
    this.test = (row) => matcher.test(row);
    this.paintSoon();
  }

  openRow(row) {
    if (row.kind === "group") {
      const field = this.state.view;
      this.change({ view: "" });
      this.setFilter(`${field}=${row[field] ?? ""}`);
    } else if (row.kind === "ended") {
      const parent = this.table.byPid.get(row.ppid);
      if (parent) this.change({ open: parent.id });
    } else {
      this.change({ open: row.id });
    }
  }

  closeDetail() {
    this.change({ open: null });
    this.tableView.focusCurrent(true);
  }

  setBranch(row, isOpen) {
    if (isOpen) this.closed.delete(row.id);
    else this.closed.add(row.id);
    this.order = [];
    this.paintSoon();
  }

  escape() {
    if (this.state.open) this.closeDetail();
    else if (this.state.filter) this.setFilter("");
    else if (this.frozen) this.goLive();
    else document.activeElement?.blur?.();
  }

  // Time.

  togglePause() {
    if (this.frozen) this.goLive();
    else if (this.live.head) {
      this.frozen = this.live.copy();
      this.wanted = null;
      this.change({ at: this.live.head.time });
    }
  }

  goLive() {
    this.frozen = null;
    this.wanted = null;
    this.note("");
    this.change({ at: null });
  }

  step(ticks) {
    const at = this.wanted ?? this.table.sequence;
    if (this.frozen && at + ticks > this.timeline.newest.sequence) this.goLive();
    else this.goTo(at + ticks);
  }

  goTo(sequence) {
    if (!this.timeline.newest) return;
    this.wanted = Math.max(this.timeline.oldest.sequence, Math.min(this.timeline.newest.sequence, sequence));
    this.frozen ??= this.live.copy();
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.feed.askMoment(this.wanted), MOMENT_PATIENCE_MS);
    this.paintSoon();
  }

  lookUpMoment() {
    const tick = this.timeline.nearest(this.state.at);
    if (tick) this.goTo(tick.sequence);
    else {
      this.change({ at: null });
      this.note("The moment in the address is not kept any more: this is now.");
    }
  }

  // What is seen.

  paintSoon() {
    this.painting ||= requestAnimationFrame(() => {
      this.painting = 0;
      this.paint();
    });
  }

  arrange() {
    return this.arrangement.rows(this.table, this.state, this.test, this.closed);
  }

  paint() {
    const { table, state } = this;
    // Half a tick adds up to nothing; the other half is on its way.
    if (!table.head || table === this.filling) return;
    const tree = state.view === "tree";
    let rows = this.arrange();
    this.matcher?.ask();
    if (this.tableView.held && this.order.length > 0) rows = heldOrder(this.order, rows);
    this.order = rows.map((row) => row.id);
    const scale = state.scale === "machine" ? 1 / table.head.host.logical_cpus : 1;
    const oldest = this.timeline.oldest?.sequence ?? table.sequence;
    this.tableView.show(rows, { ...state, scale, sequence: table.sequence, oldest });
    this.overview.show(table.head, table.rows.size);
    this.overview.showPast(this.timeline, this.wanted ?? table.sequence, this.frozen === null);
    this.showDetail(scale, oldest);
    this.showSum(rows, tree);
    this.showControls();
    this.showStatus();
  }

  showDetail(scale, oldest) {
    const { open } = this.state;
    const row = open && (this.table.rows.get(open) ?? this.table.ended.get(open) ?? (this.lastOpen?.id === open ? this.lastOpen : null));
    if (row) {
      this.lastOpen = row;
      this.detail.show(row, this.table, scale, oldest);
    } else if (this.detail.isOpen) this.detail.hide();
  }

  showSum(rows, tree) {
    const { head } = this.table;
    const { machine, attribution, host } = head;
    const sum = total(rows, tree) / host.logical_cpus;
    const shown = `${rows.length} ${rows.length === 1 ? "row" : "rows"}: ${percent(sum)} % of the machine`;
    const rest = `not attributed ${percent(attribution.unattributed_percent)}`
      + (attribution.excess_percent > 0.05 ? ` − beyond the machine's own count ${percent(attribution.excess_percent)}` : "");
    setText(byId("sum"), this.state.filter ? `${shown} (filtered), of ${percent(machine.cpu_percent)} % busy` : `${shown} + ${rest} = ${percent(machine.cpu_percent)} % busy`);
  }

  showControls() {
    const { state } = this;
    byId("view").value = state.view;
    byId("scale").value = state.scale;
    byId("sort").value = state.sort;
    setText(byId("direction"), state.descending ? "▼" : "▲");
    setAttribute(byId("direction"), "aria-label", state.descending ? "Highest first; turn round" : "Lowest first; turn round");
    setText(byId("held"), this.tableView.held ? "Order held while you are in the table" : "");
    byId("pause").setAttribute("aria-pressed", String(this.frozen !== null));
    setText(byId("pause-label"), this.frozen ? "Go on" : "Pause");
    byId("live").hidden = this.frozen === null;
    setText(byId("moment"), this.frozen ? `Shown: ${clock(Date.parse(this.table.head.time))}` : "Now; drag to look back");
    document.body.classList.toggle("paused", this.frozen !== null);
  }

  note(text) {
    setText(byId("filter-note"), text);
  }

  showStatus() {
    const head = this.live.head;
    const age = (performance.now() - this.arrived) / 1000;
    const pausedAt = this.frozen ? clock(Date.parse(this.table.head.time)) : null;
    const { kind, text } = statusOf(this.link, age, head?.interval_seconds ?? 1, pausedAt);
    setAttribute(byId("status"), "class", `status ${kind}`);
    setText(byId("status"), text);
    if (!head) return;
    setText(byId("age"), `${Math.max(0, age).toFixed(1)} s`);
    const title = `${percent(head.machine.cpu_percent)} % · ${head.host.name} · cpuwatch`;
    if (document.title !== title) document.title = title;
  }
}

new App();
