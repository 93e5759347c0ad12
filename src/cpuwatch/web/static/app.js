/** The page: connects the feed, the model and the view. */

import { Inbox } from "./feed/inbox.js";
import { Feed } from "./feed/feed.js";
import { storedToken } from "./feed/token.js";
import { Arrangement } from "./model/arrange.js";
import { parseFilter, rowTest } from "./model/filter.js";
import { RegexMatcher } from "./model/regex_matcher.js";
import { heldOrder } from "./model/sort.js";
import { fromFragment, toFragment } from "./model/url_state.js";
import { columnOf } from "./view/columns.js";
import { Controls } from "./view/controls.js";
import { Detail } from "./view/detail.js";
import { Keys } from "./view/keys.js";
import { Overview } from "./view/overview.js";
import { showStatus } from "./view/status_line.js";
import { showSum } from "./view/sum_line.js";
import { TableView } from "./view/table_view.js";
import { askToken } from "./view/token_dialog.js";

const GROUPINGS = ["", "name", "user", "unit"];
const SCRUB_DELAY_MS = 60;
const STATUS_INTERVAL_MS = 500;
const ORDER = ["sort", "descending", "view", "filter"];

class App {
  constructor() {
    this.state = stateOfAddress();
    /** The table of the moment shown; null while the page is live. */
    this.frozen = null;
    /** The sequence of the moment that was requested, or null. */
    this.wanted = null;
    this.requesting = 0;
    this.closed = new Set();
    this.arrangement = new Arrangement();
    this.order = [];
    this.link = { state: "connecting" };
    this.arrived = -Infinity;
    this.matcher = null;
    this.lastOpen = null;
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
    this.controls = new Controls(this.controlHandlers(), { areKeysOn: this.keys.on });
    this.inbox = new Inbox(this.feedHandlers());
    this.feed = new Feed((message) => this.inbox.receive(message));
    addEventListener("hashchange", () => this.follow(stateOfAddress()));
    this.setFilter(this.state.filter);
    for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
    this.feed.listen(storedToken());
    setInterval(() => this.showStatus(), STATUS_INTERVAL_MS);
    this.showStatus();
  }

  get live() {
    return this.inbox.live;
  }

  get timeline() {
    return this.inbox.timeline;
  }

  get table() {
    return this.frozen ?? this.live;
  }

  get pausedAt() {
    return this.frozen ? Date.parse(this.table.head.time) : null;
  }

  feedHandlers() {
    return {
      state: (link) => {
        this.link = link;
        if (link.state === "refused") askToken((token) => this.feed.listen(token));
        this.showStatus();
      },
      tick: () => {
        this.arrived = performance.now();
        this.paintSoon();
      },
      // Sorting each chunk as it arrives spreads the work over several tasks.
      chunk: (table) => {
        if (table === this.table) this.arrange();
      },
      moment: (table, wanted) => {
        if (wanted !== this.wanted) return;
        table.adoptSeries(this.live);
        this.frozen = table;
        this.change({ at: table.head.time });
      },
      noMoment: (wanted) => {
        if (wanted === this.wanted) this.controls.note("The server no longer has this moment.");
      },
      pastComplete: () => {
        if (this.state.at && !this.frozen) this.findMoment();
        this.paintSoon();
      },
    };
  }

  actions() {
    return {
      "/": () => this.controls.focusFilter(),
      " ": () => this.togglePause(),
      "[": () => this.step(-1),
      "]": () => this.step(1),
      o: () => this.sortBy("total_percent"),
      c: () => this.sortBy("cpu_percent"),
      p: () => this.sortBy("pid"),
      n: () => this.sortBy("name"),
      u: () => this.sortBy("user"),
      t: () => this.change({ view: this.state.view === "tree" ? "" : "tree" }),
      g: () => this.change({ view: GROUPINGS[(GROUPINGS.indexOf(this.state.view) + 1) % GROUPINGS.length] }),
      1: () => this.overview.toggleCpus(),
      "?": () => this.controls.openHelp(),
      Escape: () => this.escape(),
    };
  }

  controlHandlers() {
    return {
      filter: (text) => this.setFilter(text),
      view: (view) => this.change({ view }),
      scale: (scale) => this.change({ scale }),
      sort: (sort, descending) => this.change({ sort, descending }),
      turn: () => this.sortBy(this.state.sort),
      pause: () => this.togglePause(),
      live: () => this.goLive(),
      goTo: (sequence) => this.goTo(sequence),
      keys: (isOn) => this.keys.switchTo(isOn),
    };
  }

  /** The address changed: the user edited it or went back. */
  follow(state) {
    this.state = state;
    this.setFilter(state.filter);
    if (state.at === null) this.frozen = null;
    else if (this.frozen?.head.time !== state.at) this.findMoment();
    this.order = [];
    this.paintSoon();
  }

  change(part) {
    if (ORDER.some((name) => name in part && part[name] !== this.state[name])) this.order = [];
    this.state = { ...this.state, ...part };
    // Replaced, not pushed: otherwise the browser's history has an entry for each letter typed.
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
    this.controls.note(filter.kind === "invalid" ? `Invalid regular expression: ${filter.why}` : "");
    if (filter.kind === "regex") {
      const matcher = new RegexMatcher(filter.source, () => this.testBy(matcher), () => this.controls.note("This regular expression takes too long."));
      this.matcher = matcher;
      this.testBy(matcher);
    } else {
      this.test = rowTest(filter);
    }
    this.change({ filter: text });
  }

  /** A new function after each result of the matcher, so that rows which failed the old one are tested again. */
  testBy(matcher) {
    this.test = (row) => matcher.test(row);
    this.paintSoon();
  }

  openRow(row) {
    if (row.kind === "group") {
      const field = this.state.view;
      this.change({ view: "" });
      this.setFilter(`${field}=${row[field] ?? ""}`);
    } else if (row.kind === "exited") {
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
    this.controls.note("");
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
    clearTimeout(this.requesting);
    this.requesting = setTimeout(() => this.feed.requestMoment(this.wanted), SCRUB_DELAY_MS);
    this.paintSoon();
  }

  /** Goes to the moment in the address. */
  findMoment() {
    const tick = this.timeline.nearest(this.state.at);
    if (tick) this.goTo(tick.sequence);
    else {
      this.change({ at: null });
      this.controls.note("The server no longer has the moment in the address. The page is live.");
    }
  }

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
    // Sums over an incomplete tick would be wrong; its other chunks are on their way.
    if (!table.head || table === this.inbox.filling) return;
    let rows = this.arrange();
    this.matcher?.submit();
    if (this.tableView.held && this.order.length > 0) rows = heldOrder(this.order, rows);
    this.order = rows.map((row) => row.id);
    const scale = state.scale === "machine" ? 1 / table.head.host.logical_cpus : 1;
    const oldest = this.timeline.oldest?.sequence ?? table.sequence;
    this.tableView.show(rows, { ...state, scale, sequence: table.sequence, oldest });
    this.overview.show(table.head, table.rows.size);
    this.overview.showPast(this.timeline, this.wanted ?? table.sequence, this.frozen === null);
    this.showDetail(scale, oldest);
    showSum(rows, table.head, state);
    this.controls.show(state, { isHeld: this.tableView.held, pausedAt: this.pausedAt });
    this.showStatus();
  }

  showDetail(scale, oldest) {
    const { open } = this.state;
    const row = open && (this.table.rows.get(open) ?? this.table.exited.get(open) ?? (this.lastOpen?.id === open ? this.lastOpen : null));
    if (row) {
      this.lastOpen = row;
      this.detail.show(row, this.table, scale, oldest);
    } else if (this.detail.isOpen) this.detail.hide();
  }

  showStatus() {
    const ageSeconds = (performance.now() - this.arrived) / 1000;
    showStatus(this.link, this.live.head, ageSeconds, this.pausedAt);
  }
}

function stateOfAddress() {
  return fromFragment(location.hash, (key) => columnOf(key) !== null);
}

new App();
